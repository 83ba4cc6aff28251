"""What was watched while a learner trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from avalanche_hsf.report.figures.style import (
    FAINT,
    MUTED,
    Look,
    add_legend,
    dress,
    line_handle,
    looks_of,
    new_figure,
)

Points = Sequence[tuple[float, float]]


def plot_curves(
    panels: Mapping[str, Mapping[str, Points]],
    *,
    steps: int,
    title: str,
    colors: Mapping[str, Look] | None = None,
) -> Figure:
    """Curves over training, panels one above the other, each task's beginning marked.

    Args:
        panels: By label of a panel its curves by name, as pairs of iteration and value. A curve
            has one look in all panels.
        steps: Iterations of a task.
        title: Of the figure.
        colors: Looks by name of a curve, see `avalanche_hsf.report.colors`.

    Example:
        >>> drift = {"encoder": [(1, 0.0), (2, 0.1)], "decoder": [(1, 0.0), (2, 0.3)]}
        >>> figure = plot_curves({"drift": drift}, steps=2, title="Drift since the task began")
        >>> len(figure.axes[0].lines) >= 2
        True
    """
    looks = looks_of([name for curves in panels.values() for name in curves], colors)
    figure = new_figure(0.9 + 2.0 * len(panels), title=title)
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for panel, (label, curves) in zip(axes, panels.items(), strict=True):
        sizes = [abs(value) for points in curves.values() for _, value in points if value]
        for name, points in curves.items():
            if points:
                look = looks[name]
                style = {"color": look.color, "linestyle": look.linestyle}
                # Sparse, so that they do not hide the line.
                marks = {"marker": look.marker, "markersize": 3.5}
                marks["markevery"] = (0, max(1, round(len(points) / 18)))
                x, y = zip(*_broken(points, steps), strict=True)
                panel.plot(x, y, label=name, linewidth=1.2, **style, **marks)
        if sizes and max(sizes) > 1.5:
            panel.set_yscale("symlog", linthresh=max(np.quantile(sizes, 0.1), 1e-4))
        dress(panel, y=label, grid="y")
        panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
        if any(curves.values()):
            handles = [line_handle(name, looks[name]) for name in curves]
            add_legend(panel, handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
        last = max((x for points in curves.values() for x, _ in points), default=0)
        for start in range(0, int(last) + 1, steps):
            panel.axvline(start, color=FAINT, linewidth=0.8, zorder=0)
    dress(axes[-1], x=f"iteration ({steps} per task)", y=axes[-1].get_ylabel(), grid="y")
    return figure


def _broken(points: Points, steps: int) -> list[tuple[float, float]]:
    """The points with a gap between tasks, where a curve starts anew."""
    broken: list[tuple[float, float]] = []
    for x, value in points:
        if broken and int((x - 1) // steps) != int((broken[-1][0] - 1) // steps):
            broken.append((x, float("nan")))
        broken.append((x, value))
    return broken
