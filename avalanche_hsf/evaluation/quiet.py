"""Metrics that nothing prints."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from avalanche.evaluation import PluginMetric
from avalanche.training.plugins import EvaluationPlugin


def quiet_evaluator(*metrics: PluginMetric | Sequence[PluginMetric]) -> EvaluationPlugin:
    """Avalanche's `EvaluationPlugin` without loggers, and without its warning that there are none.

    What is measured is in `summary(strategy)`, `get_all_metrics` and what `eval` returns.

    Example:
        >>> from avalanche_hsf.evaluation import mse_metrics
        >>> evaluator = quiet_evaluator(mse_metrics(experience=True))
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No loggers specified")
        return EvaluationPlugin(*metrics)
