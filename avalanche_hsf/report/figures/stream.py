"""What becomes of errors while the stream goes on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avalanche_hsf.checks import check_int
from avalanche_hsf.report.figures.matrices import Matrices, spread_in_words, stacked
from avalanche_hsf.report.figures.scales import is_share, log_axis
from avalanche_hsf.report.figures.style import (
    Look,
    add_legend,
    dress,
    line_handle,
    looks_of,
    new_figure,
    task_ticks,
)

_CROWDED = 0.25
"""Share of the whole range that the best learners may take to be drawn again, enlarged."""


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
            their range as a band.
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
    name = _measured(measure)
    title = title or f"{name} on T{task} while later tasks are learned"
    figure = new_figure(3.4, title=f"{title} ({spread_in_words('median', arrays)})")
    panel = figure.subplots()
    _draw(panel, curves, looks, np.arange(task, n_tasks), np.median, share=is_share(measure))
    dress(panel, x="after training task", y=_label(f"{name} on T{task}", measure))
    task_ticks(panel, "x", n_tasks, first=task)
    ends = {learner: float(np.median(c[:, -1])) for learner, c in curves.items()}
    _add_legend(figure, looks, ends, measure)
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
            their range as a band; learners that were trained once, on all tasks, as a point.
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
    share, seen, name = is_share(measure), np.arange(1, n_tasks + 1), _measured(measure)
    spread = spread_in_words("mean", arrays)
    title = title or f"{name[0].upper()}{name[1:]} on all tasks so far"
    zoom = _crowd(curves) if share else None
    figure = new_figure(3.4 if zoom is None else 5.2, title=f"{title} ({spread})")
    ratios = [1] if zoom is None else [1.2, 1]
    panels = figure.subplots(len(ratios), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
    for panel in panels:
        _draw(panel, curves, looks, seen, np.mean, share=share)
        dress(panel, y=_label(f"mean {name}", measure))
    if zoom is not None:
        panels[0].set_ylim(*zoom)
        panels[0].set_title(f"above {zoom[0]:.0f} %, enlarged", fontsize=8.5, loc="left")
        panels[1].set_title("all", fontsize=8.5, loc="left")
        panels[1].axhspan(*zoom, color="0.94", zorder=0, linewidth=0)
    panels[-1].set(xlabel="tasks learned")
    step = max(1, -(-n_tasks // 12))
    panels[-1].set_xticks([k for k in seen if (k - 1) % step == 0])
    ends = {learner: float(np.mean(c[:, -1])) for learner, c in curves.items()}
    _add_legend(figure, looks, ends, measure)
    return figure


def _draw(
    panel: Axes,
    curves: Mapping[str, np.ndarray],
    looks: Mapping[str, Look],
    x: np.ndarray,
    centre: object,
    *,
    share: bool,
) -> None:
    """Lines and bands of errors, `runs x points` each; of shares as accuracies in percent."""
    for name, errors in curves.items():
        measured = np.isfinite(errors).all(axis=0)
        at, values = x[measured], _shown(errors[:, measured], share)
        middle = np.median(values, axis=0) if centre is np.median else values.mean(axis=0)
        look = looks[name]
        style = {"color": look.color, "linestyle": look.linestyle, "marker": look.marker}
        panel.plot(at, middle, label=name, markersize=4.5, linewidth=1.5, **style)
        if len(values) > 1 and len(at) > 1:
            low, high = values.min(axis=0), values.max(axis=0)
            panel.fill_between(at, low, high, color=look.color, alpha=0.18, linewidth=0)
        elif len(values) > 1:
            panel.vlines(at, values.min(axis=0), values.max(axis=0), color=look.color)
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


def _label(name: str, measure: str) -> str:
    return f"{name}, %" if is_share(measure) else name


def _add_legend(
    figure: Figure, looks: Mapping[str, Look], ends: Mapping[str, float], measure: str
) -> None:
    """Beside the panel, in the order in which the lines end there."""
    upwards = not is_share(measure)  # drawn as errors: the largest is on top
    names = sorted(ends, key=lambda name: ends[name], reverse=upwards)
    handles = [line_handle(name, looks[name]) for name in names]
    add_legend(figure, handles, loc="outside right center")


def _crowd(curves: Mapping[str, np.ndarray]) -> tuple[float, float] | None:
    """The range of the best learners in percent, if at least three are crowded there."""
    lows = sorted((100 * (1 - np.nanmax(errors)) for errors in curves.values()), reverse=True)
    whole = 100 - lows[-1]
    for n in range(len(lows) - 1, 2, -1):  # the largest group that is close together
        low = lows[n - 1]
        if 100 - low < _CROWDED * whole:
            margin = 0.06 * (100 - low)
            return float(np.floor(low - margin)), 100 + margin
    return None
