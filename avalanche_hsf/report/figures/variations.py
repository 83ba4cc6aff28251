"""One learner, changed in several ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from avalanche_hsf.report.figures.matrices import final_errors, stacked
from avalanche_hsf.report.figures.scales import form_of_measure, log_axis
from avalanche_hsf.report.figures.style import BAND, PAPER, add_legend, colors, dress, new_figure


def plot_variations(
    matrices: Mapping[str, Sequence[Tensor]], *, title: str, measure: str = "MSE"
) -> Figure:
    """What was just learned and what was left at the end, for a learner changed in several ways.

    Args:
        matrices: A row for each change, the first being none: its runs' matrices R, drawn as a
            point for each run, the mean of the diagonal and that of the last row. There may be no
            runs. The medians of the first row are drawn through all of them.
        title: Of the figure.
        measure: What the errors are.
    """
    arrays = stacked({name: runs for name, runs in matrices.items() if len(runs)})
    learned = {
        name: np.diagonal(array, axis1=1, axis2=2).mean(axis=1) for name, array in arrays.items()
    }
    left = final_errors(arrays)
    figure = new_figure(1.2 + 0.23 * len(matrices), title=title)
    panel = figure.subplots()
    look = next(iter(colors([""]).values()))
    marks: dict[str, Any] = {
        "color": look.color,
        "linestyle": "none",
        "marker": "o",
        "markersize": 4.5,
    }
    hollow: dict[str, Any] = {"markerfacecolor": PAPER}
    first = next(iter(matrices))
    for row, name in enumerate(matrices):
        if row % 2:
            panel.axhspan(row - 0.5, row + 0.5, color=BAND, zorder=0, linewidth=0)
        if name in arrays:
            n = len(left[name])
            panel.plot(learned[name], [row - 0.14] * n, **marks, **hollow)
            panel.plot(left[name], [row + 0.14] * n, **marks, alpha=0.75)
    if first in arrays:
        for errors, style in ((learned, ":"), (left, "-")):
            median = float(np.median(errors[first]))
            panel.axvline(median, color=look.color, linewidth=0.9, linestyle=style, zorder=1)
    values = np.concatenate([*learned.values(), *left.values()])
    log_axis(panel, "x", values, form_of_measure(measure))
    dress(panel, x=f"mean {measure} over tasks", grid="x")
    panel.set(
        yticks=range(len(matrices)),
        yticklabels=list(matrices),
        ylim=(len(matrices) - 0.5, -0.5),
    )
    panel.tick_params(axis="y", length=0)
    line = {**marks, "linewidth": 0.9}
    handles = [
        Line2D([], [], label="just learned", **{**line, **hollow, "linestyle": ":"}),
        Line2D([], [], label="after the last task", **{**line, "linestyle": "-"}),
    ]
    about = f"a point per run; lines: medians of “{first}”"
    handles.append(Line2D([], [], linestyle="none", label=about))
    add_legend(figure, handles, loc="outside lower center", ncols=3)
    return figure
