"""Figures of R[i, j]."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor


def plot_mse_matrices(matrices: Mapping[str, Tensor]) -> Figure:
    """The matrices R of several learners as heat maps on one logarithmic colour scale.

    Args:
        matrices: R by the name of the learner, `T x T` each, drawn without the cells above the
            diagonal.
    """
    lower = {name: _lower_triangle(matrix) for name, matrix in matrices.items()}
    values = np.concatenate([r[np.isfinite(r)] for r in lower.values()])
    norm = LogNorm(vmin=max(values[values > 0].min(), 1e-9), vmax=values.max())
    figure = Figure(figsize=(4.6 * len(lower) + 1.2, 4.4), layout="constrained")
    panels = figure.subplots(1, len(lower), squeeze=False)[0]
    for panel, (name, r) in zip(panels, lower.items(), strict=True):
        image = panel.imshow(r, norm=norm, cmap="viridis")
        for i, j in zip(*np.nonzero(np.isfinite(r)), strict=True):
            dark = norm(r[i, j]) < 0.6
            text = f"{r[i, j]:.4f}" if r[i, j] >= 5e-5 else f"{r[i, j]:.0e}"
            panel.text(j, i, text, ha="center", va="center", fontsize=9, color="w" if dark else "k")
        panel.set(
            title=name,
            xlabel="evaluated on task",
            ylabel="after training task",
            xticks=range(r.shape[1]),
            yticks=range(r.shape[0]),
            xticklabels=[f"T{j}" for j in range(r.shape[1])],
            yticklabels=[f"T{i}" for i in range(r.shape[0])],
        )
    figure.colorbar(image, ax=list(panels), label="MSE", shrink=0.85)
    return figure


def plot_task_over_stream(runs: Mapping[str, Sequence[Tensor]], task: int = 0) -> Figure:
    """The MSE on one task after each later task, on a logarithmic axis.

    Args:
        runs: For each learner the matrices R of its runs, `T x T` each. Their median is drawn as
            a line, their range as a band.
        task: The task to follow.
    """
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    panel = figure.subplots()
    for name, matrices in runs.items():
        curves = np.stack([matrix[task:, task].numpy() for matrix in matrices])
        after = np.arange(task, task + curves.shape[1])
        (line,) = panel.plot(after, np.median(curves, axis=0), marker="o", label=name)
        if len(curves) > 1:
            low, high = curves.min(0), curves.max(0)
            panel.fill_between(after, low, high, color=line.get_color(), alpha=0.2)
    n_runs = max(len(matrices) for matrices in runs.values())
    spread = f" (median and range, {n_runs} seeds)" if n_runs > 1 else ""
    panel.set(
        yscale="log",
        xlabel="after training task",
        ylabel=f"MSE on T{task}",
        xticks=after,
        xticklabels=[f"T{i}" for i in after],
        title=f"T{task} while later tasks are learned{spread}",
    )
    panel.grid(True, which="major", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_accuracy_over_stream(runs: Mapping[str, Sequence[Tensor]]) -> Figure:
    """The mean accuracy on all tasks so far, in percent, after each of them.

    Args:
        runs: For each learner the matrices of its runs, `T x T` shares misclassified. Their mean
            is drawn as a line, their range as a band, names at the end of the lines.
    """
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    panel = figure.subplots()
    ends = {}
    for i, (name, matrices) in enumerate(runs.items()):
        rows = range(len(matrices[0]))
        curves = np.array([[100 * (1 - R[k, : k + 1].mean()) for k in rows] for R in matrices])
        seen, color = np.arange(1, curves.shape[1] + 1), f"C{i % 10}"
        panel.plot(seen, curves.mean(0), marker="o", markersize=4, color=color)
        panel.fill_between(seen, curves.min(0), curves.max(0), color=color, alpha=0.2)
        ends[name] = float(curves[:, -1].mean()), color
    _write_names(panel, seen[-1], ends)
    panel.set(
        xlabel="tasks learned",
        ylabel="accuracy on all of them, %",
        xticks=seen,
        title=f"mean and range, {max(map(len, runs.values()))} seeds",
    )
    panel.grid(True, which="major", alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
    return figure


def _write_names(panel: Axes, x: float, ends: Mapping[str, tuple[float, str]]) -> None:
    """Names at the ends of lines, the lower ones moved down where they would overlap."""
    low, high = panel.get_ylim()
    step, above = (high - low) / 24, np.inf
    for name, (y, color) in sorted(ends.items(), key=lambda end: -end[1][0]):
        above = min(y, above - step)
        text = f"{name} {y:.1f}"
        panel.annotate(
            text,
            (x, above),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=8,
            annotation_clip=False,
        )


def plot_frontier(
    points: Mapping[str, tuple[float, Sequence[float], bool]],
    *,
    title: str,
    measure: str = "MSE",
    ours: Collection[str] = (),
) -> Figure:
    """Final error against what a task costs to keep, both on logarithmic axes.

    Args:
        points: For each learner the floats it keeps per task, its final mean error in each run
            (drawn with their range as a bar), and whether it keeps raw samples. Those that keep
            nothing stand on the left edge.
        title: Of the figure.
        measure: What the errors are.
        ours: Learners to be marked.
    """
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    panel = figure.subplots()
    by_floats = sorted(points.items(), key=lambda item: item[1][0])
    for i, (name, (floats, errors, raw)) in enumerate(by_floats):
        x, mean, marked = max(floats, 1.0), float(np.mean(errors)), name in ours
        panel.errorbar(
            x,
            mean,
            yerr=[[mean - min(errors)], [max(errors) - mean]],
            color=f"C{i % 10}",
            marker="o" if marked else "x" if raw else "+",
            markersize=8 if marked else 6,
            linewidth=1,
        )
        panel.annotate(
            name.removeprefix("hsf-"),
            (x, mean),
            xytext=(6, 4),
            textcoords="offset points",
            fontsize=8 if marked else 6.5,
            color="k" if marked else "0.45",
        )
    panel.set(
        xscale="log",
        yscale="log",
        xlabel="floats kept per further task (those that keep none are drawn at 1)",
        ylabel=f"final mean {measure}",
        title=title,
    )
    panel.margins(x=0.12)
    marks = "o ours   x keeps raw samples   + keeps no samples   bars: range over seeds"
    panel.text(0.99, 0.98, marks, transform=panel.transAxes, ha="right", va="top", fontsize=8)
    panel.grid(True, which="major", alpha=0.3)
    return figure


def plot_variations(
    variations: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    measure: str = "MSE",
) -> Figure:
    """What was learned and what was left of it, for a learner changed in several ways.

    Args:
        variations: A row for each change, the first being none: the errors just learned and those
            at the end, mean over tasks, drawn as a point for each run; there may be none.
        title: Of the figure.
        measure: What the errors are.
    """
    figure = Figure(figsize=(9, 1.4 + 0.3 * len(variations)), layout="constrained")
    panel = figure.subplots()
    for row, (learned, left) in enumerate(variations.values()):
        panel.plot(learned, [row - 0.12] * len(learned), "o", color="C0", alpha=0.7, markersize=5)
        panel.plot(left, [row + 0.12] * len(left), "o", color="C3", alpha=0.7, markersize=5)
        if row % 2:
            panel.axhspan(row - 0.5, row + 0.5, color="0.96", zorder=0)
    labels = (f"just learned, mean {measure}", f"after the last task, mean {measure}")
    first = next(iter(variations.values()))
    for errors, color, label in zip(first, ("C0", "C3"), labels, strict=True):
        if errors:
            panel.axvline(float(np.median(errors)), color=color, linewidth=0.8, label=label)
        else:  # for the legend
            panel.plot([], [], color=color, linewidth=0.8, label=label)
    panel.set(
        xscale="log",
        title=f"{title}\n(lines: medians of the first row)",
        yticks=range(len(variations)),
        yticklabels=list(variations),
        ylim=(len(variations) - 0.5, -0.5),
    )
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=2, frameon=False)
    return figure


def _lower_triangle(matrix: Tensor) -> np.ndarray:
    r = matrix.numpy().copy()
    r[np.triu_indices_from(r, k=1)] = np.nan
    return r
