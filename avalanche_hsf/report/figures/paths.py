"""What a model does to single samples: paths of its latents, and reconstructed curves."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from avalanche_hsf.checks import check_positive, check_size
from avalanche_hsf.report.figures.style import (
    INK,
    MUTED,
    Look,
    add_legend,
    dress,
    line_handle,
    looks_of,
    new_figure,
)

_MOST_PATHS = 40
"""Drawn of each name; the mean is of all."""
_CHANGES: tuple[tuple[str, Any], ...] = (("just learned", "--"), ("after the last task", "-"))


def plot_paths(
    paths: Mapping[str, Sequence[Tensor] | Tensor],
    *,
    horizon: float = 1.0,
    n_coordinates: int = 2,
    colors: Mapping[str, Look] | None = None,
    title: str = "Paths of the latents",
) -> Figure:
    """Latents along the SDE, over its time: each path thin, their mean in bold.

    Args:
        paths: By name, of a learner or a task, its paths: a `paths x times x d` tensor, or a list
            of `times x d` ones, from time 0 to `horizon`.
        horizon: T, the dimensionless time at which the paths end, above 0.
        n_coordinates: How many of the d coordinates are drawn, those that vary most.
        colors: Looks by name, see `avalanche_hsf.report.colors`.
        title: Of the figure.

    Example:
        >>> walks = torch.randn(20, 11, 3, generator=torch.Generator().manual_seed(0)).cumsum(1)
        >>> figure = plot_paths({"T0": walks, "T1": walks + 5})
        >>> [panel.get_ylabel() for panel in figure.axes]
        ['latent 1', 'latent 2']
    """
    check_positive("horizon", horizon)
    check_size("n_coordinates", n_coordinates)
    arrays, looks = {name: _array(name, p, 3) for name, p in paths.items()}, looks_of(paths, colors)
    if len({array.shape[2] for array in arrays.values()}) != 1:
        raise ValueError("paths must be of one or more names, and of one width d")
    everything = np.concatenate([array.reshape(-1, array.shape[2]) for array in arrays.values()])
    widest = sorted(np.argsort(-everything.std(axis=0), kind="stable")[:n_coordinates])
    figure = new_figure(0.8 + 1.9 * len(widest), title=title)
    panels = figure.subplots(len(widest), 1, squeeze=False, sharex=True)[:, 0]
    for panel, k in zip(panels, widest, strict=True):
        for name, array in arrays.items():
            times = np.linspace(0, horizon, array.shape[1])
            look = looks[name]
            thin: dict[str, Any] = {"color": look.color, "linewidth": 0.5, "alpha": 0.35}
            panel.plot(times, array[:_MOST_PATHS, :, k].T, **thin)
            bold: dict[str, Any] = {
                "color": look.color,
                "linestyle": look.linestyle,
                "marker": look.marker,
            }
            every = max(1, len(times) // 6)
            mean = array[:, :, k].mean(axis=0)
            panel.plot(times, mean, **bold, linewidth=2, markersize=4.5, markevery=every)
        dress(panel, y=f"latent {k}")
    dress(panels[-1], x="time of the SDE (dimensionless)", y=panels[-1].get_ylabel())
    handles = [line_handle(name, looks[name]) for name in arrays]
    handles.append(Line2D([], [], color=MUTED, linewidth=0.5, label="single paths"))
    add_legend(figure, handles, loc="outside right center")
    return figure


def plot_reconstructions(
    reconstructions: Mapping[str, Sequence[tuple[Tensor, Tensor]]],
    *,
    true: Sequence[Tensor],
    dimensions: tuple[int, int] = (0, 1),
    colors: Mapping[str, Look] | None = None,
    title: str = "Reconstructions, just learned and after the last task",
) -> Figure:
    """The curve of each task and what a learner makes of it, before and after the later tasks.

    Args:
        reconstructions: By learner for each task a pair of `n x d` tensors: the curve's points as
            they were reconstructed just after the task, and after the last one.
        true: For each task the curve itself, `n x d`.
        dimensions: Which two of the d coordinates are drawn.
        colors: Looks by learner, see `avalanche_hsf.report.colors`.
        title: Of the figure.

    Raises:
        ValueError: A learner has another number of tasks than `true`, or a shape does not fit.

    Example:
        >>> curve = torch.stack([torch.linspace(-1, 1, 9), torch.zeros(9)], 1)
        >>> figure = plot_reconstructions({"mlp-naive": [(curve, 2 * curve)]}, true=[curve])
        >>> figure.axes[0].get_title()
        'T0'
    """
    looks, n_tasks = looks_of(reconstructions, colors), len(true)
    curves = [_array("true", curve, 2) for curve in true]
    if not reconstructions or not curves:
        raise ValueError("reconstructions and true must hold a learner and a task at least")
    if wrong := [name for name, tasks in reconstructions.items() if len(tasks) != n_tasks]:
        raise ValueError(f"true has {n_tasks} tasks, but {', '.join(wrong)} another number")
    columns = min(n_tasks, 5)
    rows_each = -(-n_tasks // columns)
    n_rows = rows_each * len(reconstructions)
    figure = new_figure(0.8 + 1.5 * n_rows, title=title)
    panels = figure.subplots(n_rows, columns, squeeze=False)
    a, b = dimensions
    for r, (name, tasks) in enumerate(reconstructions.items()):
        color = looks[name].color
        block = panels[r * rows_each : (r + 1) * rows_each]
        for j, panel in enumerate(block.flat):
            if j >= n_tasks:
                panel.remove()
                continue
            panel.plot(curves[j][:, a], curves[j][:, b], color=INK, linewidth=2.4, alpha=0.35)
            for curve, (_, line), width in zip(tasks[j], _CHANGES, (1.0, 1.4), strict=True):
                points = _array(name, curve, 2)
                if points.shape != curves[j].shape:
                    raise ValueError(
                        f"T{j} of {name} has shape {points.shape}, of true {curves[j].shape}"
                    )
                panel.plot(points[:, a], points[:, b], color=color, linestyle=line, linewidth=width)
            last = r == len(reconstructions) - 1 and j + columns >= n_tasks
            dress(
                panel,
                title=f"T{j}" if r == 0 or rows_each > 1 else "",
                x=f"$x_{a}$" if last else "",
                y=(f"{textwrap.fill(name, 20)}\n$x_{b}$" if j % columns == 0 else ""),
            )
            panel.locator_params(nbins=3)
    handles = [Line2D([], [], color=INK, linewidth=2.4, alpha=0.35, label="true curve")]
    color = looks[next(iter(reconstructions))].color if len(reconstructions) == 1 else MUTED
    handles += [Line2D([], [], color=color, linestyle=s, label=text) for text, s in _CHANGES]
    add_legend(figure, handles, loc="outside lower center", ncols=3)
    return figure


def _array(name: str, values: Sequence[Tensor] | Tensor, n_dims: int) -> np.ndarray:
    tensor = values if isinstance(values, Tensor) else torch.stack(list(values))
    if tensor.dim() != n_dims:
        raise ValueError(f"{name} must have {n_dims} dimensions, got shape {tuple(tensor.shape)}")
    return tensor.detach().double().cpu().numpy()
