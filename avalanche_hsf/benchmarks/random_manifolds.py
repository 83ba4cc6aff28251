"""Random smooth curves in three dimensions: a stream of any length."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from avalanche.benchmarks import CLScenario
from torch import Tensor

from avalanche_hsf.benchmarks.curves import Curve, curves_benchmark
from avalanche_hsf.checks import check_int

N_SINUSOIDS = 3
FREQUENCIES = (0.3, 2.5)
"""In rad per unit of x: from a third of a period over [-4, 4] to a little more than three."""


def RandomManifolds(
    n_experiences: int = 20,
    *,
    n_samples: int = 300,
    seed: int = 0,
    test: Literal["train", "midpoints"] = "train",
    return_task_id: bool = True,
) -> CLScenario:
    """Any number of reconstruction tasks of the paper's kind, one experience each.

    Task t is sampled on the grid x = linspace(-4, 4, n_samples); a sample is the 3-vector
    (f_0(x), f_1(x), f_2(x)) with

        f_c(x) = sum_k a_ck sin(w_ck x + p_ck),  k = 1, 2, 3,  sum_k a_ck = 1,

    so |f_c(x)| <= 1 everywhere. Amplitudes (uniform on the simplex), frequencies w in [0.3, 2.5]
    and phases p in [0, 2 pi] are drawn for each task from `(seed, t)` alone: a longer stream
    starts with the tasks of a shorter one, and no global generator is read or moved.

    Source: this package's.

    Args:
        n_experiences: Number of tasks, at least 1.
        n_samples, test, return_task_id: See `SyntheticManifolds`.
        seed: Which stream, at least 0.

    Returns:
        A `CLScenario` of `n_experiences` experiences with items `[x, y, t]`, y = x, x of shape
        (3,).

    Raises:
        TypeError, ValueError: An argument is out of its range.

    Example:
        >>> benchmark = RandomManifolds(8, n_samples=100, seed=1)
        >>> len(benchmark.train_stream), len(benchmark.train_stream[7].dataset)
        (8, 100)
    """
    check_int("n_experiences", n_experiences, at_least=1)
    check_int("seed", seed, at_least=0)
    curves = [_random_curve(seed, task) for task in range(n_experiences)]
    return curves_benchmark(curves, n_samples=n_samples, test=test, return_task_id=return_task_id)


def _random_curve(seed: int, task: int) -> Curve:
    u = torch.from_numpy(np.random.default_rng((seed, task)).random((3, 3, N_SINUSOIDS)))
    low, high = FREQUENCIES
    a = -torch.log1p(-u[0])  # exponential draws, divided by their sum: uniform on the simplex
    a = a / a.sum(dim=1, keepdim=True)
    w = low + (high - low) * u[1]
    p = 2 * math.pi * u[2]

    def curve(x: Tensor) -> Tensor:
        return (a * torch.sin(w * x.unsqueeze(2) + p)).sum(dim=2)

    return curve
