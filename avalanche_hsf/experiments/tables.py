"""Tables that read the same in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class Table:
    """A table of ready-made text.

    Attributes:
        title: One line.
        headers: Column names; the first column is aligned left, the others right.
        rows: One list of cells for each row.

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


def signed(value: float) -> str:
    """Four decimals with a sign, as the paper prints forgetting.

    >>> signed(0.38221)
    '+0.3822'
    """
    return f"{round(value, 4) + 0.0:+.4f}"  # + 0.0 turns a rounded -0.0 into 0.0
