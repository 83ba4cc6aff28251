"""What was watched while a learner trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avalanche_hsf.report.figures.scales import symmetric_axis
from avalanche_hsf.report.figures.style import (
    FAINT,
    MUTED,
    SMALL,
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
    # One legend for all panels, if they show the same.
    alike = len(panels) > 1 and len({tuple(curves) for curves in panels.values()}) == 1
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for panel, (label, curves) in zip(axes, panels.items(), strict=True):
        values = [value for points in curves.values() for _, value in points]
        for name, points in curves.items():
            if points:
                look = looks[name]
                # Markers are sparse, so that they do not hide the line.
                style: dict[str, Any] = {"color": look.color, "marker": look.marker}
                marks: dict[str, Any] = {"markersize": 3.5, "markevery": 0.06}
                x, y = zip(*_broken(points, steps), strict=True)
                panel.plot(x, y, label=name, linewidth=1.2, **style, **marks)
        if max(map(abs, values), default=0) > 1.5:
            symmetric_axis(panel, values)
        dress(panel, y=label, grid="y")
        panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
        if any(curves.values()) and not alike:
            handles = [line_handle(name, looks[name], linestyle="-") for name in curves]
            add_legend(panel, handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
        last = max((x for points in curves.values() for x, _ in points), default=0)
        for start in range(0, int(last) + 1, steps):
            panel.axvline(start, color=FAINT, linewidth=0.8, zorder=0)
        if panel is axes[0]:
            _name_tasks(panel, steps, int(last))
    dress(axes[-1], x=f"iteration ({steps} per task)", y=axes[-1].get_ylabel(), grid="y")
    if alike and any(looks):
        handles = [
            line_handle(name, looks[name], linestyle="-") for name in next(iter(panels.values()))
        ]
        add_legend(figure, handles, loc="outside right center")
    return figure


def _name_tasks(panel: Axes, steps: int, last: int) -> None:
    """T0, T1, ... above the iterations in which each is learned, where there is room."""
    n_tasks = -(-last // steps)
    if n_tasks <= 20:
        for j in range(n_tasks):
            panel.text(
                (j + 0.5) * steps,
                1.01,
                f"T{j}",
                transform=panel.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color=MUTED,
            )


def _broken(points: Points, steps: int) -> list[tuple[float, float]]:
    """The points with a gap between tasks, where a curve starts anew."""
    broken: list[tuple[float, float]] = []
    for x, value in points:
        if broken and int((x - 1) // steps) != int((broken[-1][0] - 1) // steps):
            broken.append((x, float("nan")))
        broken.append((x, value))
    return broken
