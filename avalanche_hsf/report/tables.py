"""Tables that read the same in a terminal, in Markdown and in LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from avalanche_hsf.report.cells import Cell
from avalanche_hsf.report.latex import latex_of


@dataclass(frozen=True)
class Table:
    """A table of ready-made text. Columns without content are not shown.

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

    @property
    def cells(self) -> list[list[Cell]]:
        """The cells of each row, read as numbers."""
        return [list(map(Cell.of, row)) for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """For each column whether most of its cells that are not blank have numbers."""
        columns = zip(*self.cells, strict=True) if self.rows else [()] * len(self.headers)
        filled = [[cell for cell in column if not cell.is_blank] for column in columns]
        return [2 * sum(cell.value is not None for cell in cells) > len(cells) for cells in filled]

    @property
    def is_grouped(self) -> bool:
        """Whether a row with a blank first cell belongs to the one above it."""
        names = [row[0].strip() for row in self.rows]
        return bool(names and names[0]) and not all(names)

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
        return f"**{self.title}**\n\n{self._render('github')}"

    def latex(self) -> str:
        """For a LaTeX file that uses the package booktabs."""
        table = self.shown()
        return latex_of(table.title, table.headers, table.cells, table.numeric)

    def _render(self, style: str) -> str:
        table = self.shown()
        return tabulate(
            table.rows,
            headers=table.headers,
            tablefmt=style,
            disable_numparse=True,
            colalign=["left"] + ["right"] * (len(table.headers) - 1),
        )
