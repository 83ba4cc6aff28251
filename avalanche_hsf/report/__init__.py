"""Reports: tables, figures and statistics, of whatever was measured."""

from avalanche_hsf.report.cells import Cell, accuracy, bounded, interval, signed
from avalanche_hsf.report.circumstances import circumstances
from avalanche_hsf.report.curves import plot_curves, plot_shares
from avalanche_hsf.report.figures import (
    plot_accuracy_over_stream,
    plot_frontier,
    plot_mse_matrices,
    plot_task_over_stream,
    plot_variations,
)
from avalanche_hsf.report.report import Report, Section
from avalanche_hsf.report.statistics import mean_and_bounds, mean_and_interval, paired_p
from avalanche_hsf.report.tables import Table

__all__ = [
    "Cell",
    "Report",
    "Section",
    "Table",
    "accuracy",
    "bounded",
    "circumstances",
    "interval",
    "mean_and_bounds",
    "mean_and_interval",
    "paired_p",
    "plot_accuracy_over_stream",
    "plot_curves",
    "plot_frontier",
    "plot_mse_matrices",
    "plot_shares",
    "plot_task_over_stream",
    "plot_variations",
    "signed",
]
