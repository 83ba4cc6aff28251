"""Metrics that nothing prints."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from avalanche.evaluation import PluginMetric
from avalanche.training.plugins import EvaluationPlugin

from avalanche_hsf.evaluation.training_order import TrainingOrder


def quiet_evaluator(*metrics: PluginMetric | Sequence[PluginMetric]) -> EvaluationPlugin:
    """Avalanche's `EvaluationPlugin` without loggers, and without its warning that there are none.

    What is measured is in `summary(strategy)`, `get_all_metrics` and what `eval` returns.

    Raises:
        TypeError: One of them is no metric.

    Example:
        >>> from avalanche_hsf.evaluation import mse_metrics
        >>> evaluator = quiet_evaluator(mse_metrics(experience=True))
    """
    flat = [m for each in metrics for m in (each if isinstance(each, (list, tuple)) else [each])]
    wrong = [metric for metric in flat if not isinstance(metric, PluginMetric)]
    if wrong:
        got = getattr(wrong[0], "__name__", repr(wrong[0]))
        raise TypeError(
            "quiet_evaluator takes metrics, accuracy_metrics(experience=True) or the like, got "
            f"{got}"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No loggers specified")
        return EvaluationPlugin(*metrics, TrainingOrder())
