"""Metric values of metrics that watch training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import phase_and_task, stream_type


def metric_values(
    metric: PluginMetric, strategy: Any, name: str, values: Mapping[str, float]
) -> list[MetricValue]:
    """One value for each entry, as `<name>/<phase>/<stream>/<task>/<entry>`."""
    phase, task = phase_and_task(strategy)
    stream = stream_type(strategy.experience)
    at = f"{name}/{phase}_phase/{stream}_stream"
    at = at if task is None else f"{at}/Task{task:03}"
    x = strategy.clock.train_iterations
    return [MetricValue(metric, f"{at}/{entry}", value, x) for entry, value in values.items()]
