"""The matrices R themselves, as heat maps."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from avalanche_hsf.report.figures.matrices import (
    Matrices,
    lower_triangle,
    seeds_in_words,
    stacked,
)
from avalanche_hsf.report.figures.scales import form_of_measure, is_share, log_ticks
from avalanche_hsf.report.figures.style import (
    EMPTY,
    INK,
    ON_DEEP,
    ON_PALE,
    SMALL,
    WIDTH,
    dress,
    dress_bar,
    new_figure,
    task_ticks,
)


def plot_matrix(matrices: Matrices, *, measure: str = "MSE", title: str | None = None) -> Figure:
    """The matrices R of several learners side by side, on one logarithmic colour scale.

    Args:
        matrices: By learner its runs' matrices R, see `Matrices`. Their median is drawn, without
            the cells above the diagonal; its numbers are written where they fit, if need be with
            one digit. Zeros, which have no place on a logarithmic scale, are grey.
        measure: What the errors are; of a rate they are written in percent.
        title: Of the figure.

    Example:
        >>> import torch
        >>> figure = plot_matrix({"mlp-naive": [torch.tensor([[0.1, 0.9], [0.4, 0.2]])]})
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['0.1000', '0.4000', '0.2000']
    """
    arrays = stacked(matrices)
    medians = {name: lower_triangle(np.median(array, axis=0)) for name, array in arrays.items()}
    n, n_tasks = len(medians), len(next(iter(medians.values())))
    columns = 2 if n == 4 else min(n, 3)
    rows = math.ceil(n / columns)
    width = WIDTH if columns > 1 else 4.6
    side = (width - 0.9) / columns
    seeds = seeds_in_words(arrays)
    of_seeds = seeds if seeds == "1 seed" else f"median of {seeds}"
    title = title or f"{measure[0].upper()}{measure[1:]} on each task after each task: {of_seeds}"
    names = [textwrap.fill(name, 20) if columns > 2 else name for name in medians]
    lines = max(name.count("\n") for name in names)
    height = 0.35 + rows * (side + 0.05 + 0.15 * lines)
    figure = new_figure(height, width=width, title=title)
    low, high = _limits(np.concatenate([r[np.isfinite(r)] for r in medians.values()]))
    norm = LogNorm(low, high)
    # Room for a number of 8 points: some 30 points for an error, 20 for one digit or percents.
    room = (side - 0.55) * 72 / n_tasks
    is_short = room < 29 and not is_share(measure)
    colours = matplotlib.colormaps["viridis"].with_extremes(under=EMPTY, bad=(0, 0, 0, 0))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for i, (panel, name, r) in enumerate(zip(panels, names, medians.values(), strict=False)):
        image = panel.imshow(np.where(r == 0, 1e-300, r), norm=norm, cmap=colours)
        dress(
            panel,
            title=name,
            x="error on task" if i >= n - columns else "",
            y="after training task" if i % columns == 0 else "",
            grid="",
        )
        if room > 20:
            _write_cells(panel, r, norm, measure, is_short=is_short)
        task_ticks(panel, "x", n_tasks, at_most=7)
        task_ticks(panel, "y", n_tasks, at_most=7)
    for panel in panels[n:]:
        panel.remove()
    has_zero = any((r == 0).any() for r in medians.values())
    bar = figure.colorbar(
        image, ax=list(panels[:n]), shrink=0.8, aspect=28, extend="min" if has_zero else "neither"
    )
    grey = ", grey: 0" if has_zero else ""
    dress_bar(bar, f"{measure}{grey}")
    ticks, texts, minor = log_ticks(low, high, form_of_measure(measure))
    bar.set_ticks(ticks, labels=texts)
    bar.set_ticks(minor, labels=[""] * len(minor), minor=True)
    return figure


def plot_mse_matrices(matrices: Mapping[str, Tensor]) -> Figure:
    """The former name of `plot_matrix`, of one matrix for each learner."""
    warnings.warn("plot_mse_matrices is plot_matrix now", DeprecationWarning, stacklevel=2)
    return plot_matrix(matrices)


def _limits(values: np.ndarray) -> tuple[float, float]:
    """Of the colours; zeros, which are grey, do not count."""
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    # At least a decade, so that errors that are nearly the same have nearly one colour.
    return float(min(low, high / 10)), float(high)


def _write_cells(
    panel: Axes, r: np.ndarray, norm: LogNorm, measure: str, *, is_short: bool
) -> None:
    for i, j in zip(*np.nonzero(np.isfinite(r)), strict=True):
        is_deep = r[i, j] > 0 and norm(r[i, j]) < 0.6
        text = f"{r[i, j]:.0e}" if is_short and r[i, j] > 0 else _number(r[i, j], measure)
        text = text.replace("e-0", "e-").replace("e+00", "") if is_short else text
        color = ON_DEEP if is_deep else ON_PALE if r[i, j] > 0 else INK
        panel.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=color)


def _number(error: float, measure: str) -> str:
    if error == 0:
        return "0"
    if is_share(measure):
        return "<0.1" if error < 5e-4 else f"{100 * error:.1f}" if error < 0.9995 else "100"
    return f"{error:.4f}" if error >= 5e-5 else f"{error:.0e}"
