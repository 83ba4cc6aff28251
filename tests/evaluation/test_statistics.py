"""Intervals and paired tests."""

import math

import pytest
from scipy import stats

from avalanche_hsf.report import mean_and_interval, paired_p


def test_the_interval_is_students():
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    mean, half_width = mean_and_interval(values)
    low, high = stats.t.interval(0.95, 4, loc=mean, scale=stats.sem(values))
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high))
    assert mean_and_interval(values, confidence=0.5)[1] < half_width


def test_one_run_has_no_interval_and_none_no_mean():
    assert math.isnan(mean_and_interval([2.0])[1])
    with pytest.raises(ValueError, match="got none"):
        mean_and_interval([])


def test_the_paired_test_is_of_ratios():
    a, b = [1e-6, 1e-3, 1.0], [2.1e-6, 1.9e-3, 2.0]
    assert paired_p(a, b) < 0.01  # each twice as large, over six decades
    assert paired_p(a, b) == pytest.approx(paired_p(b, a))
    assert paired_p(a, a) == 1.0
    # Where an error is 0, of the errors themselves.
    assert paired_p([0.0, 0.01, 0.02], [0.10, 0.11, 0.121]) < 0.01
    assert math.isnan(paired_p([1.0], [2.0]))
    assert math.isnan(paired_p([1.0, math.nan], [2.0, 3.0]))
    with pytest.raises(ValueError, match="one length"):
        paired_p(a, b[:2])
