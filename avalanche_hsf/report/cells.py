"""What stands in the cells of tables: numbers as text, and the numbers of such text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from avalanche_hsf.report.statistics import mean_and_bounds, mean_and_interval

BLANKS = ("", "-")
"""Cells with nothing in them."""

_NUMBER = r"(?=[+-]?\.?\d)[+-]?(?:\d+(?:,\d{3})*|\d*)(?:\.\d+)?(?:e[+-]?\d+)?"
_CELL = re.compile(
    rf"(?P<value>{_NUMBER})"
    rf"(?P<spread>\s*±\s*(?P<half_width>{_NUMBER})"
    rf"|\s*\[(?P<low>{_NUMBER}),\s+(?P<high>{_NUMBER})\])?"
    r"(?P<unit>\s+\S.*|%)?"
)


@dataclass(frozen=True)
class Cell:
    """A cell, and the numbers in it.

    Attributes:
        text: As it stands there.
        value: The number that it begins with; None: it is text, or blank.
        number: The text of that number.
        spread: The text of its interval, "± b" or "[low, high]"; "": it has none.
        unit: The text after both.
        half_width: Of an interval "± b", else None.
        low: The lower end of an interval of either kind, else None.
        high: The upper end.

    Example:
        >>> cell = Cell.of("1,200 ± 30 times")
        >>> cell.value, cell.half_width, cell.low, cell.unit
        (1200.0, 30.0, 1170.0, 'times')
    """

    text: str
    value: float | None = None
    number: str = ""
    spread: str = ""
    unit: str = ""
    half_width: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, text: str) -> Cell:
        """The cell of that text."""
        found = _CELL.fullmatch(text.strip())
        if found is None or not math.isfinite(float(found["value"].replace(",", ""))):
            return cls(text)
        value, half_width = _float(found["value"]), _float(found["half_width"])
        low, high = _float(found["low"]), _float(found["high"])
        if value is not None and half_width is not None:
            low, high = value - half_width, value + half_width
        texts = {name: (found[name] or "").strip() for name in ("spread", "unit")}
        return cls(text, value, found["value"], **texts, half_width=half_width, low=low, high=high)

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return self.text.strip() in BLANKS

    @property
    def is_number(self) -> bool:
        """Whether it is a number, with or without an interval, and nothing else."""
        return self.value is not None and not self.unit


def interval(values: Sequence[float], form: str = "+.2g", width_form: str = ".1g") -> str:
    """Mean ± half width of the 95 % interval; the mean alone for one value, "-" for none or NaN.

    >>> interval([1.0, 2.0, 3.0])
    '+2 ± 2'
    """
    mean, half_width = mean_and_interval(values) if values else (math.nan, math.nan)
    if math.isnan(mean):
        return "-"
    return f"{mean:{form}}" + ("" if math.isnan(half_width) else f" ± {half_width:{width_form}}")


def bounded(values: Sequence[float], form: str = ".1e") -> str:
    """Mean and 95 % interval of numbers that are never negative; "-" for none or NaN.

    >>> bounded([1.0, 2.0, 3.0], ".2g")
    '2 [0.58, 6.9]'
    """
    mean, low, high = mean_and_bounds(values) if values else (math.nan,) * 3
    if math.isnan(mean):
        return "-"
    return f"{mean:{form}}" + ("" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]")


def accuracy(error_rates: Sequence[float], form: str = ".2f") -> str:
    """What error rates leave, in percent, with its 95 % interval; "-" for none or NaN.

    >>> accuracy([0.01, 0.02, 0.03])
    '98.00 [93.24, 99.43]'
    """
    mean, low, high = mean_and_bounds(error_rates, 1.0) if error_rates else (math.nan,) * 3
    if math.isnan(mean):
        return "-"
    best, worst = (f"{100 * (1 - bound):{form}}" for bound in (low, high))
    return f"{100 * (1 - mean):{form}}" + ("" if math.isnan(low) else f" [{worst}, {best}]")


def significant(value: float, form: str = "#.3g") -> str:
    """A number with all digits that count, zeros too; "-" for NaN.

    >>> significant(0.3), significant(102.4), significant(0.0)
    ('0.300', '102', '0')
    """
    if math.isnan(value):
        return "-"
    return "0" if value == 0 and form.endswith("g") else f"{value:{form}}".rstrip(".")


def signed(value: float) -> str:
    """Four decimals with a sign, as the paper prints forgetting.

    >>> signed(0.38221)
    '+0.3822'
    """
    return f"{round(value, 4) + 0.0:+.4f}"  # + 0.0 turns a rounded -0.0 into 0.0


def _float(text: str | None) -> float | None:
    return None if text is None else float(text.replace(",", ""))
