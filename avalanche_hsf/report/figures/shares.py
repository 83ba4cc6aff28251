"""Which components forgot, and which did so together: heat maps of an attribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avalanche_hsf.report.cells import interval
from avalanche_hsf.report.figures.style import (
    EMPTY,
    ON_DEEP,
    ON_PALE,
    SMALL,
    WIDTH,
    dress,
    dress_bar,
    new_figure,
)

Cells = Mapping[tuple[int, int], Sequence[float]]


def plot_shares(
    shares: Mapping[str, Sequence[Sequence[float]]],
    *,
    measure: str = "MSE",
    title: str = "Forgetting by component",
) -> Figure:
    """What each component has of each task's forgetting, as mean ± 95 % interval over runs.

    Args:
        shares: By component a row for each run, of one number for each task (such as its Shapley
            values); positive is worse.
        measure: What is forgotten.
        title: Of the figure.

    Example:
        >>> figure = plot_shares({"encoder": [[0.1, 0.2], [0.3, 0.2]], "decoder": [[0, 1], [0, 1]]})
        >>> figure.axes[0].texts[0].get_text().replace(chr(10), " ")
        '+0.2 ± 1'
    """
    _check_not_empty("shares", shares)
    arrays = {name: np.asarray(runs, dtype=float) for name, runs in shares.items()}
    if (
        len({array.shape[1:] for array in arrays.values()}) > 1
        or next(iter(arrays.values())).ndim != 2
    ):
        raise ValueError("shares must have by component a row per run, of one number per task")
    n_tasks = next(iter(arrays.values())).shape[1]
    means = np.array([array.mean(axis=0) for array in arrays.values()])
    several = any(len(array) > 1 for array in arrays.values())
    figure = new_figure(1.0 + (0.4 if several else 0.28) * len(arrays), title=title)
    panel = figure.subplots()
    reach = float(np.abs(means).max()) or 1.0
    fits = (WIDTH - 2.6) * 72 / n_tasks > 34
    texts = {
        (i, j): interval(list(array[:, j])).replace(" ±", "\n±")
        for i, array in enumerate(arrays.values())
        for j in range(n_tasks)
    }
    _heat_map(panel, means, reach, texts if fits else {})
    dress(panel, x="forgetting of task", grid="")
    _name_ticks(panel, "x", [f"T{j}" for j in range(n_tasks)])
    _name_ticks(panel, "y", list(arrays))
    _add_bar(figure, [panel], f"{measure} added")
    return figure


def plot_interactions(
    interactions: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]],
    *,
    measure: str = "MSE",
    title: str = "Interactions of components in forgetting",
) -> Figure:
    """A heat map of pairs of components for each task: what both do beyond what each does.

    A task in which no two components moved is left out.

    Args:
        interactions: By name of a task the interactions of each run, as
            `avalanche_hsf.analysis.Attribution.interactions` has them: by component, by another
            one, a number. Negative: either alone does the harm of both; positive: it takes both.
        measure: What is forgotten.
        title: Of the figure.

    Example:
        >>> pairs = {"encoder": {"decoder": 0.2}, "decoder": {"encoder": 0.2}}
        >>> figure = plot_interactions({"T0": [pairs, pairs]})
        >>> figure.axes[0].texts[0].get_text()
        '+0.2'
    """
    _check_not_empty("interactions", interactions)
    components = list(
        dict.fromkeys(c for runs in interactions.values() for run in runs for c in run)
    )
    _check_not_empty("interactions", components)
    means = {
        task: np.mean([_matrix(run, components) for run in runs], axis=0)
        for task, runs in interactions.items()
    }
    means = {task: mean for task, mean in means.items() if np.isfinite(mean).any()} or means
    reach = float(np.nan_to_num(np.abs(list(means.values()))).max()) or 1.0
    columns = min(len(means), 2)
    rows = math.ceil(len(means) / columns)
    side = (WIDTH - 2.2) / columns
    figure = new_figure(1.2 + rows * (side + 0.15), title=title)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True)
    for panel, (task, mean) in zip(panels.flat, means.items(), strict=False):
        cells = np.argwhere(np.isfinite(mean))
        texts = {(int(i), int(j)): f"{mean[i, j]:+.1g}" for i, j in cells}
        # Room for a number of 8 points, of five or six characters.
        fits = side * 72 / len(components) > 28
        _heat_map(panel, mean, reach, texts if fits else {})
        dress(panel, title=task if len(means) > 1 else "", grid="")
        _name_ticks(panel, "x", components)
        _name_ticks(panel, "y", components)
        panel.tick_params(axis="x", labelrotation=90)
    for panel in panels.flat[len(means) :]:
        panel.remove()
        panels[-2, -1].tick_params(axis="x", labelbottom=True)
    _add_bar(figure, list(panels.flat[: len(means)]), f"{measure} beyond the sum of both")
    return figure


def _check_not_empty(name: str, values: Sequence[str] | Mapping[str, object]) -> None:
    if not values:
        raise ValueError(f"{name} is empty: a figure needs a component")


def _matrix(run: Mapping[str, Mapping[str, float]], components: Sequence[str]) -> np.ndarray:
    """The pairs of a run, NaN on the diagonal."""
    return np.array([[run.get(a, {}).get(b, math.nan) for b in components] for a in components])


def _heat_map(
    panel: Axes, values: np.ndarray, reach: float, texts: Mapping[tuple[int, int], str]
) -> None:
    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad=EMPTY)
    panel.imshow(values, cmap=colours, vmin=-reach, vmax=reach, aspect="auto")
    for (i, j), text in texts.items():
        color = ON_DEEP if abs(values[i, j]) > 0.6 * reach else ON_PALE
        panel.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=color)


def _name_ticks(panel: Axes, axis: str, names: Sequence[str]) -> None:
    panel.set(**{f"{axis}ticks": range(len(names)), f"{axis}ticklabels": list(names)})


def _add_bar(figure: Figure, panels: Sequence[Axes], label: str) -> None:
    bar = figure.colorbar(panels[0].images[0], ax=list(panels), aspect=28)
    dress_bar(bar, label)
