"""How well it learns: metrics as Avalanche plugin metrics, and figures."""

from avalanche_hsf.evaluation.diagnosis_figures import plot_curves, plot_shares
from avalanche_hsf.evaluation.error_rate import MisclassificationRate
from avalanche_hsf.evaluation.figures import (
    plot_frontier,
    plot_mse_matrices,
    plot_task_over_stream,
    plot_variations,
)
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
from avalanche_hsf.evaluation.statistics import mean_and_interval, paired_p

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
    "mean_and_interval",
    "mse_bwt_metrics",
    "mse_forgetting_metrics",
    "mse_metrics",
    "paired_p",
    "plot_curves",
    "plot_frontier",
    "plot_mse_matrices",
    "plot_shares",
    "plot_task_over_stream",
    "plot_variations",
]
