"""Tables that read the same in a terminal and in Markdown, and what stands in their cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from avalanche_hsf.report.statistics import mean_and_interval


@dataclass(frozen=True)
class Table:
    """A table of ready-made text.

    Attributes:
        title: One line.
        headers: Column names; the first column is aligned left, the others right.
        rows: The cells of each row.

    Example:
        >>> print(Table("Title", ["model", "MSE"], [["mlp", "0.0044"]]).text())
        Title
        <BLANKLINE>
        model       MSE
        -------  ------
        mlp      0.0044
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of_columns(cls, title: str, columns: Mapping[str, Sequence[str]]) -> Table:
        """A table from its columns by name."""
        return cls(title, list(columns), list(zip(*columns.values(), strict=True)))

    def text(self) -> str:
        """For a terminal."""
        return f"{self.title}\n\n{self._render('simple')}"

    def markdown(self) -> str:
        """For a Markdown file."""
        return f"**{self.title}**\n\n{self._render('github')}"

    def _render(self, style: str) -> str:
        return tabulate(
            self.rows,
            headers=self.headers,
            tablefmt=style,
            disable_numparse=True,
            colalign=["left"] + ["right"] * (len(self.headers) - 1),
        )


def interval(values: Sequence[float], form: str = "+.2g", width_form: str = ".1g") -> str:
    """Mean ± half width of the 95 % interval; the mean alone for one value, "-" for none or NaN.

    >>> interval([1.0, 2.0, 3.0])
    '+2 ± 2'
    """
    mean, half_width = mean_and_interval(values) if values else (math.nan, math.nan)
    if math.isnan(mean):
        return "-"
    return f"{mean:{form}}" + ("" if math.isnan(half_width) else f" ± {half_width:{width_form}}")


def signed(value: float) -> str:
    """Four decimals with a sign, as the paper prints forgetting.

    >>> signed(0.38221)
    '+0.3822'
    """
    return f"{round(value, 4) + 0.0:+.4f}"  # + 0.0 turns a rounded -0.0 into 0.0
