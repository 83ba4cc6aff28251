"""Every metric value as a line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from avalanche_hsf.logging.base import MetricLogger
from avalanche_hsf.logging.files import LineFile
from avalanche_hsf.logging.names import MetricName
from avalanche_hsf.logging.values import as_json


class JSONLinesLogger(MetricLogger):
    """Writes every metric value as a line of JSON, arrays as nested lists.

    Keys are metric, phase, stream, task and experience, see `MetricName`, iteration and value. What
    a name does not say is null; NaN and infinities are "NaN", "Infinity" and "-Infinity", as JSON
    has no such numbers and `float` reads them. Pictures are not kept. Each callback's lines are on
    the disk before training goes on.

    Args:
        path: The file, such as "metrics.jsonl"; its folder is made.
        append: Whether lines that are there stay, as they must to resume; False begins anew.

    Raises:
        OSError: The file cannot be written.
        ValueError: It is a file of something else.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
        >>> logger = JSONLinesLogger(path)
        >>> logger.log_single_metric("MSEMatrix/eval_phase/test_stream", [[0.5], [0.7]], 80)
        >>> line = json.loads(path.read_text())
        >>> line["metric"], line["iteration"], line["value"]
        ('MSEMatrix', 80, [[0.5], [0.7]])
    """

    shows_pictures: ClassVar[bool] = False

    def __init__(self, path: str | Path = "metrics.jsonl", *, append: bool = True) -> None:
        super().__init__()
        self._file = LineFile(path, "", start='{"metric"', append=append, is_first=_is_line)
        self._lines: list[str] = []

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def log_plain(self, name: str, value: Any, iteration: int) -> None:
        if isinstance(value, bytes):
            self.warn(name, "is binary and is not kept, only its size")
            value = f"{len(value)} bytes"
        content = {**asdict(MetricName.parse(name)), "iteration": iteration}
        self._lines.append(f"{json.dumps({**content, 'value': as_json(value)}, allow_nan=False)}\n")

    def flush(self) -> None:
        lines, self._lines = "".join(self._lines), []
        self._file.write(lines)

    def state_dict(self) -> dict[str, Any]:
        return self._file.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._file.load_state_dict(state)


def _is_line(line: str) -> bool:
    try:
        content = json.loads(line)
    except ValueError:
        return False
    return isinstance(content, dict) and {"metric", "iteration", "value"} <= content.keys()
