"""Curves in three dimensions: the paper's stream of five, and random ones for any length."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from avalanche.benchmarks import CLScenario
from torch import Tensor

from avalanche_hsf.benchmarks.tensor_streams import reconstruction_benchmark
from avalanche_hsf.checks import check_bool, check_int, check_memory, check_size, shown

Function = Callable[[Tensor], Tensor]
"""Takes points x of shape `n x 1` to values, `n x 1`, or to points of a curve, `n x 3`."""

PAPER_MANIFOLDS: tuple[tuple[Function, ...], ...] = (
    (torch.sin, torch.cos, lambda x: x**2 / 16),
    (lambda x: torch.exp(-(x**2)), lambda x: torch.tanh(x * 2), lambda x: torch.sin(2 * x)),
    (lambda x: x**3 / 64, torch.sigmoid, lambda x: torch.cos(3 * x)),
    (
        lambda x: torch.sin(x) * torch.cos(x),
        lambda x: torch.abs(x) / 4,
        lambda x: torch.exp(-torch.abs(x)),
    ),
    (lambda x: torch.sin(x**2), lambda x: torch.sign(x) * torch.sqrt(torch.abs(x)) / 2, torch.tanh),
)
"""Task t is the curve x -> (f_0(x), f_1(x), f_2(x)) for x in [-4, 4]."""

N_SINUSOIDS = 3
FREQUENCIES = (0.3, 2.5)
"""In rad per unit of x: from a third of a period over [-4, 4] to a little more than three."""


def SyntheticManifolds(
    n_samples: int = 300,
    *,
    test: Literal["train", "midpoints"] = "train",
    return_task_id: bool = True,
) -> CLScenario:
    """The five reconstruction tasks of the paper (section 3.1), one experience each.

    Task t is sampled on the grid x = linspace(-4, 4, n_samples); a sample is the 3-vector of
    `PAPER_MANIFOLDS[t]` at x. The data is deterministic, so there is no seed.

    Source: V. Van, "Analyzing the Failure Modes of a Hypernetwork-SDE-Flow Architecture in
    Continual Learning" (2025), section 3.1, and the author's public code for the formulas.

    Args:
        n_samples: Samples per task, at least 2.
        test: The test stream: "train", the training points themselves, as the paper evaluates; or
            "midpoints", the `n_samples - 1` unseen points halfway between them.
        return_task_id: True gives experience t the task label t; False gives all of them the
            label 0, for learners that must do without.

    Returns:
        A `CLScenario` of five experiences with items `[x, y, t]`, y = x, x of shape (3,).

    Raises:
        TypeError, ValueError: An argument is out of its range.

    Example:
        >>> benchmark = SyntheticManifolds(test="midpoints")
        >>> len(benchmark.train_stream), len(benchmark.test_stream[0].dataset)
        (5, 299)
    """
    curves = [partial(_curve, task) for task in PAPER_MANIFOLDS]
    return _benchmark(curves, n_samples, test, return_task_id)


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
    check_int("n_experiences", n_experiences, at_least=1, at_most=100_000)
    check_int("seed", seed, at_least=0)
    curves = [_random_curve(seed, task) for task in range(n_experiences)]
    return _benchmark(curves, n_samples, test, return_task_id)


def _benchmark(
    curves: Sequence[Function], n_samples: int, test: str, return_task_id: bool
) -> CLScenario:
    """One reconstruction experience per curve; arguments as of `SyntheticManifolds`."""
    check_size("n_samples", n_samples, at_least=2)
    check_memory("the samples", 8 * len(curves) * n_samples)
    check_bool("return_task_id", return_task_id)
    if not isinstance(test, str) or test not in ("train", "midpoints"):
        raise ValueError(f'test must be "train" or "midpoints", got {shown(test)}')
    grid = torch.linspace(-4, 4, n_samples).unsqueeze(1)
    midpoints = (grid[1:] + grid[:-1]) / 2
    return reconstruction_benchmark(
        [curve(grid) for curve in curves],
        [curve(midpoints) for curve in curves] if test == "midpoints" else None,
        task_labels=None if return_task_id else [0] * len(curves),
    )


def _curve(task: tuple[Function, ...], x: Tensor) -> Tensor:
    return torch.cat([f(x) for f in task], dim=1)


def _random_curve(seed: int, task: int) -> Function:
    u = torch.from_numpy(np.random.default_rng((seed, task)).random((3, 3, N_SINUSOIDS)))
    low, high = FREQUENCIES
    a = -torch.log1p(-u[0])  # exponential draws, divided by their sum: uniform on the simplex
    a = a / a.sum(dim=1, keepdim=True)
    w = low + (high - low) * u[1]
    p = 2 * math.pi * u[2]

    def curve(x: Tensor) -> Tensor:
        return (a * torch.sin(w * x.unsqueeze(2) + p)).sum(dim=2)

    return curve
