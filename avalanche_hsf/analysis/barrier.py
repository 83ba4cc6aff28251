"""Whether two states of a model lie in one basin of the loss."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.models.tasks.slots import EmptySlot


def loss_on_line(
    early: nn.Module, late: nn.Module, error: Callable[[nn.Module], float], *, n_points: int = 11
) -> list[tuple[float, float]]:
    """The error on the straight line between two states, as pairs of alpha in [0, 1] and error.

    Parameters and buffers that are floats are (1 - alpha) early + alpha late, others are early's.

    Args:
        early, late: Two states of a model.
        error: From a model to its error on a task.
        n_points: Evenly spaced, both ends included, at least 3.

    Raises:
        ValueError: The two are of different models; the message names what differs.
    """
    check_int("n_points", n_points, at_least=3)
    first, last = (dict(_tensors(model)) for model in (early, late))
    different = sorted(
        name
        for name in {*first, *last}
        if name not in first or name not in last or first[name].shape != last[name].shape
    )
    if different:
        raise ValueError(
            f"early and late are of different models: {', '.join(different[:5])} differ in shape "
            "or are not in both"
        )
    between = deepcopy(early).eval()
    points = []
    for k in range(n_points):
        alpha = k / (n_points - 1)
        with torch.no_grad():
            for name, tensor in _tensors(between):
                if tensor.is_floating_point():
                    tensor.copy_(torch.lerp(first[name], last[name], alpha))
        points.append((alpha, error(between)))
    return points


def loss_barrier(points: list[tuple[float, float]]) -> float:
    """How far the error rises above the line between its ends; 0: it does not, one basin.

    max over alpha of E(alpha) - ((1 - alpha) E(0) + alpha E(1))

    Source: Frankle et al. 2020, https://arxiv.org/abs/1912.05671; between tasks Mirzadeh et al.
    2021, https://arxiv.org/abs/2010.04495.

    Example:
        >>> loss_barrier([(0.0, 0.1), (0.5, 0.9), (1.0, 0.3)])
        0.7
    """
    start, end = points[0][1], points[-1][1]
    return max(e - ((1 - alpha) * start + alpha * end) for alpha, e in points)


def _tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [(name, t) for name, t in tensors if not isinstance(t, EmptySlot)]
