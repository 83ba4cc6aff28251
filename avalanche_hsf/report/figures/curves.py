"""What was watched while a learner trained."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avalanche_hsf.report.figures.scales import log_axis, symmetric_axis
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
    steps: int = 0,
    begins: Sequence[int] = (),
    title: str,
    colors: Mapping[str, Look] | None = None,
) -> Figure:
    """Curves over training, panels one above the other, each task's beginning marked.

    Args:
        panels: By label of a panel its curves by name, as pairs of iteration and value. A curve
            has one look in all panels. What is above zero has a logarithmic axis where it spans
            much; where it changes its sign the axis is linear around zero.
        steps: Iterations of a task, if all tasks have as many.
        begins: Else the iterations after which the tasks began, rising from 0.
        title: Of the figure.
        colors: Looks by name of a curve, see `avalanche_hsf.report.colors`.

    Raises:
        ValueError: Neither `steps` nor `begins` is given, or both are.

    Example:
        >>> drift = {"encoder": [(1, 0.0), (2, 0.1)], "decoder": [(1, 0.0), (2, 0.3)]}
        >>> figure = plot_curves({"drift": drift}, steps=2, title="Drift since the task began")
        >>> len(figure.axes[0].lines) >= 2
        True
    """
    if (steps > 0) == bool(begins):
        raise ValueError(f"give steps above 0, or begins, got {steps} and {list(begins)}")
    last = max((x for curves in panels.values() for p in curves.values() for x, _ in p), default=0)
    begins = begins or range(0, max(int(last), 1), steps)
    edges = [*begins, begins[-1] + steps if steps else last]
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
                x, y = zip(*_broken(points, begins), strict=True)
                panel.plot(x, y, label=name, linewidth=1.2, **style, **marks)
        is_wide = max(map(abs, values), default=0) > 1.5
        if is_wide and min(values) >= 0:
            log_axis(panel, "y", values)
        elif is_wide:
            symmetric_axis(panel, values)
        dress(panel, y=label, grid="y")
        if not is_wide or min(values) <= 0:
            panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
        if any(curves.values()) and not alike:
            handles = [line_handle(name, looks[name], linestyle="-") for name in curves]
            add_legend(panel, handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
        for edge in edges:
            panel.axvline(edge, color=FAINT, linewidth=0.8, zorder=0)
        if panel is axes[0]:
            _name_tasks(panel, edges)
    per_task = f" ({steps} per task)" if steps else ""
    dress(axes[-1], x=f"iteration{per_task}", y=axes[-1].get_ylabel(), grid="y")
    if alike and any(looks):
        handles = [
            line_handle(name, looks[name], linestyle="-") for name in next(iter(panels.values()))
        ]
        add_legend(figure, handles, loc="outside right center")
    return figure


def _name_tasks(panel: Axes, edges: Sequence[float]) -> None:
    """T0, T1, ... above the iterations in which each is learned, where there is room."""
    if len(edges) <= 21:
        for j, (begin, end) in enumerate(pairwise(edges)):
            panel.text(
                (begin + end) / 2,
                1.01,
                f"T{j}",
                transform=panel.get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color=MUTED,
            )


def _broken(points: Points, begins: Sequence[int]) -> list[tuple[float, float]]:
    """The points with a gap between tasks, where a curve starts anew."""
    broken: list[tuple[float, float]] = []
    for x, value in points:
        if broken and bisect_left(begins, x) != bisect_left(begins, broken[-1][0]):
            broken.append((x, float("nan")))
        broken.append((x, value))
    return broken
