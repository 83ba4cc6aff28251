"""What stands in cells is read again as it was written, and intervals stay where they can be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avalanche_hsf.report import Cell, accuracy, bounded, interval, mean_and_bounds

ERRORS = st.lists(st.floats(1e-9, 1e3), min_size=2, max_size=8)
SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=8)


@given(ERRORS)
def test_an_interval_of_errors_holds_their_mean_and_never_zero(errors):
    mean, low, high = mean_and_bounds(errors)
    assert 0 <= low <= mean * (1 + 1e-9) and mean <= high * (1 + 1e-9)
    assert low > 0 or high / mean > 1e100
    cell = Cell.of(bounded(errors))
    assert cell.is_number and cell.half_width is None
    assert cell.value == pytest.approx(mean, rel=0.06)
    assert cell.low == pytest.approx(low, rel=0.06) and cell.high == pytest.approx(high, rel=0.06)


@given(SHARES)
def test_an_interval_of_shares_stays_between_none_and_all(shares):
    mean, low, high = mean_and_bounds(shares, 1.0)
    assert -1e-12 <= low <= mean + 1e-12 and mean - 1e-12 <= high <= 1 + 1e-12
    cell = Cell.of(accuracy(shares))
    assert cell.value == pytest.approx(100 * (1 - mean), abs=0.006)
    assert 0 <= cell.low <= cell.value <= cell.high <= 100


def test_a_small_spread_has_the_interval_of_student():
    errors = [1.0, 1.001, 1.002]
    _, low, high = mean_and_bounds(errors)
    cell = Cell.of(interval(errors, ".6f", ".6f"))
    assert (low, high) == pytest.approx((cell.low, cell.high), abs=1e-5)


def test_what_has_no_interval():
    assert bounded([2.0]) == "2.0e+00" and accuracy([0.02]) == "98.00"
    assert bounded([]) == accuracy([]) == bounded([1.0, math.nan]) == "-"
    assert mean_and_bounds([0.0, 0.0]) == (0.0, 0.0, 0.0)
    assert mean_and_bounds([0.5, 0.5], 1.0) == (0.5, 0.5, 0.5)


@given(st.floats(-1e9, 1e9), st.sampled_from(["+.2g", ".1e", ",.0f", ".4f"]))
def test_a_number_is_read_as_it_was_written(number, form):
    text = f"{number:{form}}"
    cell = Cell.of(text)
    assert cell.is_number and cell.value == float(text.replace(",", "")) and cell.number == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 of 3, 1 failed", 2.0),
        ("238 times", 238.0),
        ("5 %", 5.0),
        ("5%", 5.0),
        ("+0.38 [+0.3, +0.4]", 0.38),
        ("-1.6 ± 2", -1.6),
        ("1,234,567", 1234567.0),
        (".5", 0.5),
        ("2025-11-29", None),
        ("12-layer", None),
        ("1,2", None),
        ("1e999", None),
        ("nan", None),
        ("lr 0.1", None),
        ("-", None),
        ("", None),
        ("+", None),
        ("± 3", None),
    ],
)
def test_the_number_of_a_text(text, value):
    assert Cell.of(text).value == value


@given(st.text())
def test_any_text_is_a_cell(text):
    assert Cell.of(text).text == text
