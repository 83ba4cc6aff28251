"""The base of loggers that take any metric value."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from avalanche.evaluation.metric_results import MetricValue
from avalanche.logging import BaseLogger

from avalanche_hsf.logging.names import MetricName
from avalanche_hsf.logging.values import Description, pieces

_PROCESS = uuid.uuid4().hex
"""What is unpickled in another process goes on with a log that may have grown since."""


class MetricLogger(BaseLogger):
    """A logger that gets plain values, whatever the metrics give.

    Numbers of NumPy and torch on any device, tensors, figures, images, dictionaries, lists and
    text are made plain by `pieces`. What can only be described is logged as that text, and one
    warning for each metric says so. Subclasses write `log_plain` and `flush`, `state_dict` and
    `load_state_dict`; an Avalanche checkpoint, a pickle of the logger, holds the same state, which
    is put in place when the first values come.
    """

    shows_pictures: ClassVar[bool] = True
    transient: ClassVar[tuple[str, ...]] = ()
    """Attributes that a copy sets to None and makes anew."""

    def __init__(self) -> None:
        super().__init__()
        self._warned: set[str] = set()
        self._left: dict[str, Any] | None = None

    def log_plain(self, name: str, value: Any, iteration: int) -> None:
        """Takes one plain value."""
        raise NotImplementedError

    def flush(self) -> None:
        """Writes what was taken; called after the values of each callback."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        raise NotImplementedError

    def own_types(self) -> tuple[type, ...]:
        """Types that `log_plain` takes as they are, besides the plain ones."""
        return ()

    def log_metrics(self, metric_values: Sequence[MetricValue]) -> None:
        """Logs the values of a callback; Avalanche calls it, with none if there are none."""
        if self._left is not None:
            left, self._left = self._left, None
            self.load_state_dict(left)
        for each in metric_values:
            self._take(each.name, each.value, each.x_plot)
        self.flush()

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        """Logs one value."""
        self.log_metrics([MetricValue(self, name, value, x_plot)])

    def warn(self, name: str, text: str) -> None:
        """Warns once for each metric."""
        metric = MetricName.parse(name).metric
        if metric not in self._warned:
            self._warned.add(metric)
            warnings.warn(f"{type(self).__name__}: {metric} {text}", stacklevel=2)

    def _take(self, name: str, value: Any, x: Any) -> None:
        iteration = _as_iteration(x)
        own = self.own_types()
        try:
            plain = list(pieces(name, value, pictures=self.shows_pictures, own=own))
        except Exception as error:  # of a user's objects; training is worth more than a value
            plain = [(name, Description(f"{type(value).__name__}: {error}"))]
        for each, part in plain:
            if isinstance(part, Description):
                self.warn(each, f"cannot be shown and is logged as the text {str(part)!r}")
            self.log_plain(each, part, iteration)

    def __getstate__(self) -> dict[str, Any]:
        left = self.state_dict() if self._left is None else self._left
        state = {**self.__dict__, **dict.fromkeys(self.transient), "_left": left}
        return {"process": _PROCESS, "state": state}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept["state"])
        if kept["process"] == _PROCESS:
            self._left = None


def _as_iteration(x: Any) -> int:
    try:
        return int(x)
    except (TypeError, ValueError, OverflowError):  # none was given, or NaN, or infinity
        return 0
