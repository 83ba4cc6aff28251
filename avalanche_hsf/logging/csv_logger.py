"""Every metric value as a row of one CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from avalanche_hsf.logging.base import MetricLogger
from avalanche_hsf.logging.files import LineFile
from avalanche_hsf.logging.names import MetricName
from avalanche_hsf.logging.values import Description

COLUMNS = (
    *("metric", "phase", "stream", "task", "experience", "iteration"),
    *("value", "i", "j", "text"),
)


class TidyCSVLogger(MetricLogger):
    r"""Writes every metric value to one tidy CSV file: a value a row, a variable a column.

    Columns are metric, phase, stream, task, experience, iteration, value, i, j and text; see
    `MetricName`. What a name does not say is empty. An array has a row for each cell, i and j are
    its last two indices, those before them are part of the metric; one of one dimension has i
    alone. Text, with line ends as `\n`, is in the last column, so that values are numbers; pictures
    are not kept. Each callback's rows are on the disk before training goes on.

    Args:
        path: The file, such as "metrics.csv"; its folder is made.
        append: Whether rows that are there stay, as they must to resume; False begins anew.

    Raises:
        OSError: The file cannot be written.
        ValueError: It is a file of something else.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.csv"
        >>> logger = TidyCSVLogger(path)  # to be passed to EvaluationPlugin(..., loggers=[logger])
        >>> logger.log_single_metric("Loss_Exp/eval_phase/test_stream/Task001/Exp001", 0.5, 80)
        >>> print(path.read_text(), end="")
        metric,phase,stream,task,experience,iteration,value,i,j,text
        Loss_Exp,eval,test,1,1,80,0.5,,,
    """

    shows_pictures: ClassVar[bool] = False

    def __init__(self, path: str | Path = "metrics.csv", *, append: bool = True) -> None:
        super().__init__()
        header = ",".join(COLUMNS) + "\n"
        self._file = LineFile(
            path, header, start=header, append=append, is_first=lambda line: line == header
        )
        self._rows = io.StringIO()

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def log_plain(self, name: str, value: Any, iteration: int) -> None:
        rows = csv.writer(self._rows, lineterminator="\n")
        if isinstance(value, bytes):
            value = Description(f"{len(value)} bytes")
            self.warn(name, "is binary and is not kept, only its size")
        where = astuple(MetricName.parse(name))
        if isinstance(value, str):
            line = value.replace("\r", "\\r").replace("\n", "\\n").replace("\0", "\\0")
            rows.writerow([*where, iteration, "", "", "", line])
        elif isinstance(value, np.ndarray):
            for leading, i, j, cell in _cells(value):
                metric = "/".join([where[0], *map(str, leading)])
                rows.writerow([metric, *where[1:], iteration, cell, i, j, ""])
        else:
            rows.writerow([*where, iteration, value, "", "", ""])

    def flush(self) -> None:
        rows, self._rows = self._rows.getvalue(), io.StringIO()
        self._file.write(rows)

    def state_dict(self) -> dict[str, Any]:
        return self._file.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._file.load_state_dict(state)


def _cells(array: np.ndarray) -> Iterator[tuple[tuple[int, ...], int, int | str, Any]]:
    """Of each cell the leading indices, i, j (empty if there is none) and the number."""
    for index, cell in zip(np.ndindex(array.shape), array.ravel().tolist(), strict=True):
        if len(index) == 1:
            yield (), index[0], "", cell
        else:
            yield index[:-2], index[-2], index[-1], cell
