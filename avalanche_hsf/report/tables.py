"""Tables that read the same in a terminal, in Markdown and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from avalanche_hsf.extras import require
from avalanche_hsf.report.cells import Cell
from avalanche_hsf.report.latex import latex_of

require("Table", "tabulate", extra="report")
from tabulate import tabulate  # noqa: E402

_MARKUP = re.compile(r"[|\\`*]|\](?=\()")


@dataclass(frozen=True)
class Table:
    """A table of ready-made text. Columns without content are not shown.

    Attributes:
        title: One line.
        headers: Column names; columns of numbers are aligned right, the first never is.
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

    @property
    def cells(self) -> list[list[Cell]]:
        """The cells of each row, read as numbers."""
        return [list(map(Cell.of, row)) for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """For each column but the first whether most of its cells that are not blank have numbers.

        The first holds the names of the rows, such as "0 (Linear)".
        """
        columns = zip(*self.cells, strict=True) if self.rows else [()] * len(self.headers)
        filled = [[cell for cell in column if not cell.is_blank] for column in columns]
        return [
            i > 0 and 2 * sum(cell.value is not None for cell in cells) > len(cells)
            for i, cells in enumerate(filled)
        ]

    @property
    def is_grouped(self) -> bool:
        """Whether a row with a blank first cell belongs to the one above it."""
        names = [row[0].strip() for row in self.rows]
        return bool(names and names[0]) and not all(names)

    @property
    def n_labels(self) -> int:
        """Columns that name a row: in a grouped table the second may do so too."""
        return 2 if self.is_grouped and len(self.headers) > 1 and not self.numeric[1] else 1

    def shown(self) -> Table:
        """The table without the columns, beyond the first, that are blank in every row."""
        if not self.rows:
            return self
        columns = zip(*self.cells, strict=True)
        kept = [i == 0 or not all(c.is_blank for c in column) for i, column in enumerate(columns)]

        def pick(row: Sequence[str]) -> list[str]:
            return [text for text, is_kept in zip(row, kept, strict=True) if is_kept]

        return Table(self.title, pick(self.headers), [pick(row) for row in self.rows])

    def text(self) -> str:
        """For a terminal."""
        return f"{self.title}\n\n{self._render('simple')}"

    def markdown(self) -> str:
        """For a Markdown file."""
        return f"**{in_markdown(self.title)}**\n\n{self._render('pipe', in_markdown)}"

    def latex(self) -> str:
        """For a LaTeX file that uses the packages booktabs and graphicx."""
        table = self.shown()
        headers, cells, numeric = table.headers, table.cells, table.numeric
        return latex_of(table.title, headers, cells, numeric, n_labels=table.n_labels)

    def _render(self, style: str, written: Callable[[str], str] = str) -> str:
        table = self.shown()
        return tabulate(
            [list(map(written, row)) for row in table.rows],
            headers=list(map(written, table.headers)),
            tablefmt=style,
            disable_numparse=True,
            colalign=["right" if is_right else "left" for is_right in table.numeric],
        )


def in_markdown(text: str) -> str:
    r"""A text on one line that opens no cell, link or element of Markdown.

    >>> print(in_markdown("1 [0, 2] | <b>"))
    1 [0, 2] \| &lt;b>
    """
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split())).replace("<", "&lt;")
