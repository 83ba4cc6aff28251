"""The base of metrics that watch training."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import phase_and_task, stream_type

from avalanche_hsf.checks import check_int


class WatchMetric(PluginMetric[dict]):
    """A measurement of some epochs, to be passed to Avalanche's `EvaluationPlugin`.

    Args:
        every: Epochs between two measurements, at least 1.
    """

    def __init__(self, *, every: int = 1) -> None:
        super().__init__()
        self.every = check_int("every", every, at_least=1)
        self.reset()

    def reset(self) -> None:
        """Forgets the last measurement."""
        self._last: dict[str, Any] = {}

    def result(self) -> dict[str, Any]:
        """The last measurement."""
        return deepcopy(self._last)

    def values(self, strategy: Any, name: str, entries: Mapping[str, float]) -> list[MetricValue]:
        """One value for each entry, as `<name>/<phase>/<stream>/<task>/<entry>`."""
        phase, task = phase_and_task(strategy)
        at = f"{name}/{phase}_phase/{stream_type(strategy.experience)}_stream"
        at = at if task is None else f"{at}/Task{task:03}"
        x = strategy.clock.train_iterations
        return [MetricValue(self, f"{at}/{entry}", value, x) for entry, value in entries.items()]

    def __str__(self) -> str:
        return f"{type(self).__name__}_Epoch"
