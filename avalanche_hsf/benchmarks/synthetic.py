"""The paper's stream: five curves in three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from avalanche.benchmarks import CLScenario
from torch import Tensor

from avalanche_hsf.benchmarks.curves import curves_benchmark

PAPER_MANIFOLDS: tuple[tuple[Callable[[Tensor], Tensor], ...], ...] = (
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
    return curves_benchmark(curves, n_samples=n_samples, test=test, return_task_id=return_task_id)


def _curve(task: tuple[Callable[[Tensor], Tensor], ...], x: Tensor) -> Tensor:
    return torch.cat([f(x) for f in task], dim=1)
