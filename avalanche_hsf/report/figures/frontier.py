"""Final errors against what is kept for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from avalanche_hsf.report.figures.labels import place_names
from avalanche_hsf.report.figures.matrices import Matrices, final_errors, spread_in_words, stacked
from avalanche_hsf.report.figures.scales import form_of_measure, in_bytes, in_numbers, log_axis
from avalanche_hsf.report.figures.style import (
    INK,
    PAPER,
    Look,
    add_legend,
    dress,
    legend_height,
    line_handle,
    looks_of,
    new_figure,
)


def plot_frontier(
    matrices: Matrices,
    *,
    kept: Mapping[str, float],
    unit: str = "bytes",
    measure: str = "MSE",
    keeps_samples: Collection[str] = (),
    ours: Collection[str] = (),
    colors: Mapping[str, Look] | None = None,
    title: str | None = None,
) -> Figure:
    """Final mean error against what a task costs to keep, both on logarithmic axes.

    Zeros are drawn on both axes, apart, behind a break.

    Args:
        matrices: By learner its runs' matrices R, see `Matrices`; the mean over runs of their last
            row's mean is a point, the range a bar.
        kept: By learner what it keeps per task, at least 0.
        unit: Of `kept`, such as "bytes" or "floats".
        measure: What the errors are; rates are written in percent.
        keeps_samples: Learners that keep raw samples: their points are hollow.
        ours: Learners whose names are set in bold.
        colors: Looks by learner, see `colors`.
        title: Of the figure.

    Raises:
        ValueError: Some learner has no entry in `kept`, or a run that diverged.

    Example:
        >>> import torch
        >>> R = torch.tensor([[0.1, 0.9], [0.4, 0.2]])
        >>> figure = plot_frontier(
        ...     {"net-naive": [R], "hn-isolated": [R / 10]},
        ...     kept={"net-naive": 0, "hn-isolated": 5e5},
        ... )
        >>> figure.axes[0].get_ylabel()
        'final mean MSE'
    """
    arrays, looks = stacked(matrices), looks_of(matrices, colors)
    if missing := [name for name in arrays if name not in kept]:
        raise ValueError(f"kept has no {unit} of {', '.join(missing)}")
    finals = final_errors(arrays)
    label = f"final mean {measure}"
    title = title or f"{label[0].upper()}{label[1:]} against {unit} per task"
    figure = new_figure(4.4, title=f"{title} ({spread_in_words('mean', arrays)})")
    panel = figure.subplots()
    points, bars = {}, {}
    for name, errors in finals.items():
        mean, low, high = float(errors.mean()), float(errors.min()), float(errors.max())
        points[name], bars[name] = (float(kept[name]), mean), (low, high)
        look, hollow = looks[name], name in keeps_samples
        panel.vlines(kept[name], low, high, color=look.color, linewidth=1.2, zorder=3)
        panel.plot(
            kept[name],
            mean,
            label=name,
            color=look.color,
            marker=look.marker,
            markersize=6.5,
            markerfacecolor=PAPER if hollow else look.color,
            markeredgewidth=1.4,
            linestyle="none",
            zorder=4,
        )
    form = in_bytes if unit == "bytes" else in_numbers
    log_axis(panel, "x", [x for x, _ in points.values()], form)
    ends = [end for bar in bars.values() for end in bar]
    log_axis(panel, "y", ends, form_of_measure(measure))
    dress(panel, x=f"{unit} per task", y=label)
    _add_key(
        figure, bool(keeps_samples), bool(ours), seeds=any(len(a) > 1 for a in arrays.values())
    )
    if not place_names(figure, panel, points, bars=bars, bold=ours):
        figure.set_figheight(max(4.4, legend_height(len(points)) + 0.6))
        handles = [line_handle(name, looks[name], linestyle="none") for name in points]
        legend = add_legend(figure, handles, loc="outside right center")
        for text in legend.get_texts():
            text.set_fontweight("bold" if text.get_text() in ours else "normal")
    return figure


def _add_key(figure: Figure, samples: bool, ours: bool, *, seeds: bool) -> None:
    """What the marks mean, below the panel."""
    empty: dict[str, Any] = {"linestyle": "none", "color": INK}
    hollow: dict[str, Any] = {"markerfacecolor": PAPER, "markeredgewidth": 1.4}
    handles = []
    if samples:
        handles += [
            Line2D([], [], marker="o", label="keeps no raw samples", **empty),
            Line2D([], [], marker="o", label="keeps raw samples", **hollow, **empty),
        ]
    if seeds:
        handles.append(Line2D([], [], marker="|", markersize=11, label="range over seeds", **empty))
    if ours:
        handles.append(Line2D([], [], label="bold: this package", **empty))
    if handles:
        legend = add_legend(figure, handles, loc="outside lower center", ncols=len(handles))
        if ours:
            legend.get_texts()[-1].set_fontweight("bold")
