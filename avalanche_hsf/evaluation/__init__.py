"""Evaluation: metrics and the matrix R, as Avalanche plugin metrics of any measure."""

import warnings
from importlib import import_module
from typing import Any

from avalanche_hsf.evaluation.errors import MeanSquaredError, MisclassificationRate
from avalanche_hsf.evaluation.forgetting import (
    ExperienceBWT,
    ExperienceForgetting,
    ExperienceMSEBWT,
    ExperienceMSEForgetting,
    StreamBWT,
    StreamForgetting,
    StreamMSEBWT,
    StreamMSEForgetting,
    measure_bwt_metrics,
    measure_forgetting_metrics,
    mse_bwt_metrics,
    mse_forgetting_metrics,
)
from avalanche_hsf.evaluation.matrix import ErrorMatrix, ErrorRateMatrix, MSEMatrix
from avalanche_hsf.evaluation.measures import Measure, Measurement
from avalanche_hsf.evaluation.mse import (
    EpochMSE,
    ExperienceMSE,
    MinibatchMSE,
    StreamMSE,
    default_evaluator,
    mse_metrics,
)
from avalanche_hsf.evaluation.quiet import quiet_evaluator
from avalanche_hsf.evaluation.run_summary import Summary, SummaryRow, summary
from avalanche_hsf.evaluation.spans import measure_metrics
from avalanche_hsf.evaluation.summaries import (
    average_incremental_accuracy,
    forgetting,
    forward_transfer,
    intransigence,
    learning_accuracy,
    worst_since_learned,
)
from avalanche_hsf.evaluation.task_confusion import TaskConfusion
from avalanche_hsf.evaluation.training_order import TrainingOrder

__all__ = [
    "EpochMSE",
    "ErrorMatrix",
    "ErrorRateMatrix",
    "ExperienceBWT",
    "ExperienceForgetting",
    "ExperienceMSE",
    "ExperienceMSEBWT",
    "ExperienceMSEForgetting",
    "MSEMatrix",
    "MeanSquaredError",
    "Measure",
    "Measurement",
    "MinibatchMSE",
    "MisclassificationRate",
    "StreamBWT",
    "StreamForgetting",
    "StreamMSE",
    "StreamMSEBWT",
    "StreamMSEForgetting",
    "Summary",
    "SummaryRow",
    "TaskConfusion",
    "TrainingOrder",
    "average_incremental_accuracy",
    "default_evaluator",
    "forgetting",
    "forward_transfer",
    "intransigence",
    "learning_accuracy",
    "measure_bwt_metrics",
    "measure_forgetting_metrics",
    "measure_metrics",
    "mse_bwt_metrics",
    "mse_forgetting_metrics",
    "mse_metrics",
    "quiet_evaluator",
    "summary",
    "worst_since_learned",
]

_MOVED = "avalanche_hsf.report"


def __getattr__(name: str) -> Any:
    """Figures and statistics by their former path: not imported, since they lie above."""
    report = None if name.startswith("_") else import_module(_MOVED)
    if report is None or name not in report.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{name} is in {_MOVED} now", DeprecationWarning, stacklevel=2)
    return getattr(report, name)
