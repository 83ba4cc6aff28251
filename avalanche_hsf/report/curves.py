"""Figures of why a learner forgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]


def plot_shares(shares: Mapping[str, Sequence[float]], *, title: str) -> Figure:
    """A heat map: what each component has of each task's forgetting.

    Args:
        shares: For each component one number per task; positive is worse.
        title: Of the figure.
    """
    values = np.array(list(shares.values()))
    reach = max(float(np.abs(values).max()), 1e-12)
    size = max(2.6 + 1.1 * values.shape[1], 6.5), 1.2 + 0.45 * len(values)
    figure = Figure(figsize=size, layout="constrained")
    panel = figure.subplots()
    image = panel.imshow(values, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
    for i, j in np.ndindex(values.shape):
        color = "w" if abs(values[i, j]) > 0.55 * reach else "k"
        panel.text(j, i, f"{values[i, j]:+.2g}", ha="center", va="center", color=color)
    panel.set(
        title=title,
        xticks=range(values.shape[1]),
        xticklabels=[f"T{j}" for j in range(values.shape[1])],
        yticks=range(len(values)),
        yticklabels=list(shares),
    )
    figure.colorbar(image, ax=panel, label="error added (negative: taken away)")
    return figure


def plot_curves(panels: Mapping[str, Mapping[str, Points]], *, steps: int, title: str) -> Figure:
    """Curves over training, panels one above the other, each task's beginning marked.

    Args:
        panels: For each panel its curves by name, as pairs of iteration and value.
        steps: Iterations of a task.
        title: Of the figure.
    """
    figure = Figure(figsize=(9, 1.0 + 2.6 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0]
    for panel, (label, curves) in zip(axes, panels.items(), strict=True):
        sizes = [abs(value) for points in curves.values() for _, value in points if value]
        for name, points in curves.items():
            if points:
                panel.plot(*zip(*_broken(points, steps), strict=True), label=name, linewidth=1.3)
        if sizes and max(sizes) > 1.5:
            panel.set_yscale("symlog", linthresh=max(np.quantile(sizes, 0.1), 1e-4))
        panel.set_ylabel(label)
        panel.axhline(0, color="0.7", linewidth=0.8)
        panel.grid(True, axis="y", alpha=0.3)
        if any(curves.values()):
            panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
        last = max((x for points in curves.values() for x, _ in points), default=0)
        for start in range(0, int(last) + 1, steps):
            panel.axvline(start, color="0.85", linewidth=0.8, zorder=0)
    axes[-1].set_xlabel(f"iteration ({steps} per task)")
    figure.suptitle(title, fontsize=11)
    return figure


def _broken(points: Points, steps: int) -> list[tuple[float, float]]:
    """The points with a gap between tasks, where a curve starts anew."""
    broken: list[tuple[float, float]] = []
    for x, value in points:
        if broken and int((x - 1) // steps) != int((broken[-1][0] - 1) // steps):
            broken.append((x, float("nan")))
        broken.append((x, value))
    return broken
