"""Tables as one CSV file with a line for each cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from avalanche_hsf.report.cells import Cell
from avalanche_hsf.report.tables import Table

COLUMNS = ("table", "row", "column", "value", "mean", "half_width", "low", "high")


def csv_of(tables: Sequence[Table]) -> str:
    """A line for each cell that is not blank.

    `value` is the cell's text, or its number without separators of thousands. The columns after it
    are for cells with an interval: `half_width` of those that give it, `low` and `high` of all.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    for table in tables:
        for row, column, cell in _named_cells(table):
            mean = cell.value if cell.spread else None
            numbers = (mean, cell.half_width, cell.low, cell.high)
            written = ["" if number is None else f"{number:.10g}" for number in numbers]
            writer.writerow([table.title, row, column, _value(cell), *written])
    return text.getvalue()


def _named_cells(table: Table) -> Iterator[tuple[str, str, Cell]]:
    """Names of row and column, and the cell."""
    n_labels = table.n_labels
    group = ""
    for texts, cells in zip(table.rows, table.cells, strict=True):
        group = texts[0].strip() or group
        name = ", ".join(filter(None, [group, *texts[1:n_labels]]))
        for column, cell in list(zip(table.headers, cells, strict=True))[n_labels:]:
            if not cell.is_blank:
                yield name, column, cell


def _value(cell: Cell) -> str:
    return cell.number.replace(",", "") if cell.is_number and not cell.spread else cell.text
