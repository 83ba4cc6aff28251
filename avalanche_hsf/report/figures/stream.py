"""What becomes of errors while the stream goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avalanche_hsf.checks import check_int
from avalanche_hsf.report.figures.matrices import Matrices, spread_in_words, stacked
from avalanche_hsf.report.figures.scales import is_share, log_axis
from avalanche_hsf.report.figures.style import (
    BAND,
    INK,
    SMALL,
    Look,
    add_legend,
    dress,
    legend_height,
    line_handle,
    looks_of,
    new_figure,
    task_ticks,
)

Centre = Literal["mean", "median"]

_CROWDED = 0.25
"""Share of the whole range that the best learners may take to be drawn again, enlarged."""


_MOST_BANDS = 3
"""Learners whose ranges can be drawn as bands; of more as bars, side by side."""


def plot_task_over_stream(
    matrices: Matrices,
    *,
    task: int = 0,
    measure: str = "MSE",
    colors: Mapping[str, Look] | None = None,
    title: str | None = None,
) -> Figure:
    """The error on one task after each later task; of error rates the accuracy, in percent.

    Args:
        matrices: By learner its runs' matrices R, see `Matrices`. Their median is drawn as a line,
            their range as a band or bars.
        task: The task to follow, from 0 to T - 1.
        measure: What the errors are.
        colors: Looks by learner, see `colors`.
        title: Of the figure.

    Raises:
        ValueError: There is no such task.
    """
    arrays, looks = stacked(matrices), looks_of(matrices, colors)
    n_tasks = next(iter(arrays.values())).shape[1]
    check_int("task", task, at_least=0, at_most=n_tasks - 1)
    curves = {name: array[:, task:, task] for name, array in arrays.items()}
    name, x = _measured(measure), np.arange(task, n_tasks)
    title = title or f"{_capital(name)} on T{task} while later tasks are learned"
    title = f"{title} ({spread_in_words('median', arrays)})"
    figure, panel = _draw_all(curves, looks, x, "median", measure, title, f"{name} on T{task}")
    panel.set_xlabel("after training task")
    task_ticks(panel, "x", n_tasks, first=task)
    return figure


def plot_accuracy_over_stream(
    matrices: Matrices,
    *,
    measure: str = "error rate",
    colors: Mapping[str, Look] | None = None,
    title: str | None = None,
) -> Figure:
    """The mean accuracy on all tasks so far after each of them; of other errors the mean error.

    Where the best learners end close together, they are drawn a second time, enlarged.

    Args:
        matrices: By learner its runs' matrices R, see `Matrices`. Their mean is drawn as a line,
            their range as a band or bars; what was trained once, on all tasks, as a point.
        measure: What the errors are: of a rate the accuracies are drawn, in percent.
        colors: Looks by learner, see `colors`.
        title: Of the figure.
    """
    arrays, looks = stacked(matrices), looks_of(matrices, colors)
    n_tasks = next(iter(arrays.values())).shape[1]
    curves = {
        name: np.stack([array[:, k, : k + 1].mean(axis=1) for k in range(n_tasks)], axis=1)
        for name, array in arrays.items()
    }
    name, seen = _measured(measure), np.arange(1, n_tasks + 1)
    title = title or f"{_capital(name)} on all tasks so far"
    title = f"{title} ({spread_in_words('mean', arrays)})"
    figure, panel = _draw_all(curves, looks, seen, "mean", measure, title, f"mean {name}")
    panel.set_xlabel("tasks learned")
    panel.set_xticks(seen[:: math.ceil(n_tasks / 12)])
    return figure


def _draw_all(
    curves: Mapping[str, np.ndarray],
    looks: Mapping[str, Look],
    x: np.ndarray,
    centre: Centre,
    measure: str,
    title: str,
    label: str,
) -> tuple[Figure, Axes]:
    """All learners, a legend, and above it once more the best ones if they are crowded.

    Returns the figure and the panel of all learners.
    """
    share = is_share(measure)
    zoom = _crowd(curves) if share else None
    height = max(3.4 if zoom is None else 5.2, legend_height(len(curves)))
    figure = new_figure(height, title=title)
    ratios = [1.0] if zoom is None else [1.2, 1.0]
    panels = figure.subplots(len(ratios), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
    for panel in panels:
        _draw(panel, curves, looks, x, centre, share=share)
        dress(panel, y=f"{label}, %" if share else label)
    if zoom is not None:
        panels[0].set_ylim(*zoom)
        for panel, text in zip(panels, (f"above {zoom[0]:.0f} %, enlarged", "all"), strict=True):
            panel.set_title(text, fontsize=SMALL + 0.5, loc="left", color=INK)
        panels[1].axhspan(*zoom, color=BAND, zorder=0, linewidth=0)
    _add_legend(figure, looks, curves, centre, share)
    return figure, panels[-1]


def _draw(
    panel: Axes,
    curves: Mapping[str, np.ndarray],
    looks: Mapping[str, Look],
    x: np.ndarray,
    centre: Centre,
    *,
    share: bool,
) -> None:
    """Lines and ranges of errors, `runs x points` each; of shares as accuracies in percent."""
    bands = len(curves) <= _MOST_BANDS
    shifts = np.zeros(len(curves)) if bands else np.linspace(-0.15, 0.15, len(curves))
    for shift, (name, errors) in zip(shifts, curves.items(), strict=True):
        measured = np.isfinite(errors).all(axis=0)
        at, values = x[measured] + shift, _shown(errors[:, measured], share)
        middle = np.median(values, axis=0) if centre == "median" else values.mean(axis=0)
        look = looks[name]
        style: dict[str, Any] = {
            "color": look.color,
            "linestyle": look.linestyle,
            "marker": look.marker,
        }
        panel.plot(at, middle, label=name, markersize=4.5, linewidth=1.5, **style)
        low, high = values.min(axis=0), values.max(axis=0)
        if bands and len(at) > 1:
            panel.fill_between(at, low, high, color=look.color, alpha=0.18, linewidth=0)
        else:
            panel.vlines(at, low, high, color=look.color, linewidth=1)
    if share:
        low = min(float(np.nanmin(_shown(errors, share))) for errors in curves.values())
        floor = 0.0 if low < 30 else low - 0.08 * (100 - low)
        panel.set_ylim(floor - 0.02 * (100 - floor), 100 + 0.03 * (100 - floor))
    else:
        log_axis(panel, "y", np.concatenate([errors.ravel() for errors in curves.values()]))


def _shown(errors: np.ndarray, share: bool) -> np.ndarray:
    return 100 * (1 - errors) if share else errors


def _measured(measure: str) -> str:
    return "accuracy" if is_share(measure) else measure


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _add_legend(
    figure: Figure,
    looks: Mapping[str, Look],
    curves: Mapping[str, np.ndarray],
    centre: Centre,
    share: bool,
) -> None:
    """Beside the panel, in the order in which the lines end there."""
    middle = np.median if centre == "median" else np.mean
    ends = {name: float(middle(errors[:, -1])) for name, errors in curves.items()}
    # Drawn as errors, the largest is on top.
    names = sorted(ends, key=lambda name: ends[name], reverse=not share)
    # Where nothing but the end was measured there is a point and no line.
    points = {name for name, c in curves.items() if np.isfinite(c).all(axis=0).sum() == 1}
    bare = {name: {"linestyle": "none"} if name in points else {} for name in names}
    handles = [line_handle(name, looks[name], **bare[name]) for name in names]
    add_legend(figure, handles, loc="outside right center")


def _crowd(curves: Mapping[str, np.ndarray]) -> tuple[float, float] | None:
    """The range of the best learners in percent, if three, and half of all, are crowded there."""
    lows = sorted((100 * (1 - np.nanmax(errors)) for errors in curves.values()), reverse=True)
    whole = 100 - lows[-1]
    least = max(3, len(lows) // 2)
    for n in range(len(lows) - 1, least - 1, -1):  # the largest group that is close together
        low = lows[n - 1]
        if 0 < 100 - low < _CROWDED * whole:
            margin = 0.06 * (100 - low)
            return float(np.floor(low - margin)), 100 + margin
    return None
