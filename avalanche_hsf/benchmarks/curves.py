"""Curves: functions on an interval as a reconstruction stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from avalanche.benchmarks import CLScenario
from torch import Tensor

from avalanche_hsf.benchmarks.reconstruction import reconstruction_benchmark
from avalanche_hsf.checks import check_int

Curve = Callable[[Tensor], Tensor]
"""Takes points x of shape `n x 1` to points of the curve, `n x d`."""


def curves_benchmark(
    curves: Sequence[Curve],
    *,
    n_samples: int,
    test: Literal["train", "midpoints"],
    return_task_id: bool,
) -> CLScenario:
    """One reconstruction experience per curve; arguments as of `SyntheticManifolds`."""
    check_int("n_samples", n_samples, at_least=2)
    if test not in ("train", "midpoints"):
        raise ValueError(f'test must be "train" or "midpoints", got {test!r}')
    grid = torch.linspace(-4, 4, n_samples).unsqueeze(1)
    midpoints = (grid[1:] + grid[:-1]) / 2
    return reconstruction_benchmark(
        [curve(grid) for curve in curves],
        [curve(midpoints) for curve in curves] if test == "midpoints" else None,
        task_labels=None if return_task_id else [0] * len(curves),
    )
