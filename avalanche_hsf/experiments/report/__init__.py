"""Reports: tables, figures and statistics of runs."""

from avalanche_hsf.experiments.report.curves import plot_curves, plot_shares
from avalanche_hsf.experiments.report.figures import (
    plot_accuracy_over_stream,
    plot_frontier,
    plot_mse_matrices,
    plot_task_over_stream,
    plot_variations,
)
from avalanche_hsf.experiments.report.report import Report
from avalanche_hsf.experiments.report.statistics import mean_and_interval, paired_p
from avalanche_hsf.experiments.report.tables import Table

__all__ = [
    "Report",
    "Table",
    "mean_and_interval",
    "paired_p",
    "plot_accuracy_over_stream",
    "plot_curves",
    "plot_frontier",
    "plot_mse_matrices",
    "plot_shares",
    "plot_task_over_stream",
    "plot_variations",
]
