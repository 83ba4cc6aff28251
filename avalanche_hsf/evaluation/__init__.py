"""Metrics, as Avalanche plugin metrics."""

import warnings
from importlib import import_module
from typing import Any

from avalanche_hsf.evaluation.error_rate import MisclassificationRate
from avalanche_hsf.evaluation.forgetting import (
    ExperienceMSEBWT,
    ExperienceMSEForgetting,
    StreamMSEBWT,
    StreamMSEForgetting,
    mse_bwt_metrics,
    mse_forgetting_metrics,
)
from avalanche_hsf.evaluation.matrix import ErrorMatrix, ErrorRateMatrix, MSEMatrix, forgetting
from avalanche_hsf.evaluation.mse import (
    EpochMSE,
    ExperienceMSE,
    MeanSquaredError,
    MinibatchMSE,
    StreamMSE,
    default_evaluator,
    mse_metrics,
)

__all__ = [
    "EpochMSE",
    "ErrorMatrix",
    "ErrorRateMatrix",
    "ExperienceMSE",
    "ExperienceMSEBWT",
    "ExperienceMSEForgetting",
    "MSEMatrix",
    "MeanSquaredError",
    "MinibatchMSE",
    "MisclassificationRate",
    "StreamMSE",
    "StreamMSEBWT",
    "StreamMSEForgetting",
    "default_evaluator",
    "forgetting",
    "mse_bwt_metrics",
    "mse_forgetting_metrics",
    "mse_metrics",
]

_MOVED = "avalanche_hsf.experiments.report"


def __getattr__(name: str) -> Any:
    """Figures and statistics by their former path; they are in `avalanche_hsf.experiments.report`.

    By name, when one is asked for: this package imports nothing from above.
    """
    report = None if name.startswith("_") else import_module(_MOVED)
    if report is None or name not in report.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{name} is in {_MOVED} now", DeprecationWarning, stacklevel=2)
    return getattr(report, name)
