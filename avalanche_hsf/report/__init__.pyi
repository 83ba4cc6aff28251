from .cells import Cell, accuracy, bounded, interval, signed, significant
from .circumstances import circumstances
from .figures.curves import plot_curves
from .figures.frontier import plot_frontier
from .figures.matrix import plot_matrix, plot_mse_matrices
from .figures.paths import plot_paths, plot_reconstructions
from .figures.shares import plot_interactions, plot_shares
from .figures.stream import plot_accuracy_over_stream, plot_task_over_stream
from .figures.style import Look, colors
from .figures.variations import plot_variations
from .report import Report, Section
from .statistics import mean_and_bounds, mean_and_interval, paired_p
from .tables import Table

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
