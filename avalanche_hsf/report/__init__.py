"""Reports: tables, figures and statistics, of whatever was measured."""

from avalanche_hsf.report.cells import Cell, accuracy, bounded, interval, signed, significant
from avalanche_hsf.report.circumstances import circumstances
from avalanche_hsf.report.figures.curves import plot_curves
from avalanche_hsf.report.figures.frontier import plot_frontier
from avalanche_hsf.report.figures.matrix import plot_matrix, plot_mse_matrices
from avalanche_hsf.report.figures.paths import plot_paths, plot_reconstructions
from avalanche_hsf.report.figures.shares import plot_interactions, plot_shares
from avalanche_hsf.report.figures.stream import plot_accuracy_over_stream, plot_task_over_stream
from avalanche_hsf.report.figures.style import Look, colors
from avalanche_hsf.report.figures.variations import plot_variations
from avalanche_hsf.report.report import Report, Section
from avalanche_hsf.report.statistics import mean_and_bounds, mean_and_interval, paired_p
from avalanche_hsf.report.tables import Table

__all__ = [
    "Cell",
    "Look",
    "Report",
    "Section",
    "Table",
    "accuracy",
    "bounded",
    "circumstances",
    "colors",
    "interval",
    "mean_and_bounds",
    "mean_and_interval",
    "paired_p",
    "plot_accuracy_over_stream",
    "plot_curves",
    "plot_frontier",
    "plot_interactions",
    "plot_matrix",
    "plot_mse_matrices",
    "plot_paths",
    "plot_reconstructions",
    "plot_shares",
    "plot_task_over_stream",
    "plot_variations",
    "signed",
    "significant",
]
