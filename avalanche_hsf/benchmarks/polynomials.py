"""The regression tasks on which hypernetworks for continual learning were introduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from avalanche.benchmarks import CLScenario

from avalanche_hsf.benchmarks.tensor_streams import regression_benchmark
from avalanche_hsf.checks import check_int, check_memory, check_non_negative, check_size

POLYNOMIALS: Sequence[tuple[Callable[[np.ndarray], np.ndarray], tuple[float, float]]] = (
    (lambda x: x + 3, (-4, -2)),
    (lambda x: 2 * x**2 - 1, (-1, 1)),
    (lambda x: (x - 3) ** 3, (2, 4)),
)
"""A function and its domain for each task."""


def PolynomialRegression(
    *, n_train: int = 100, n_test: int = 50, noise: float = 0.05, seed: int = 42
) -> CLScenario:
    """Three tasks, y = x + 3 on [-4, -2], y = 2 x^2 - 1 on [-1, 1], y = (x - 3)^3 on [2, 4].

    Training points are uniform on the domain, their y with Gaussian noise; test points are
    equidistant, without noise. All tasks draw from the same seed, as the published code does, so
    that the defaults give its very points.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695, figure 1, and the code
    published with it, https://github.com/chrhenning/hypercl.

    Args:
        n_train: Training points per task, at least 1.
        n_test: Test points per task, at least 1.
        noise: Standard deviation of the noise, at least 0.
        seed: Seed of the data, at least 0.

    Returns:
        A `CLScenario` of 3 experiences with items `[x, y, t]`, x and y of shape (1,), float32.

    Raises:
        TypeError, ValueError: An argument is out of its range.

    Example:
        >>> PolynomialRegression().test_stream[1].dataset[0][:2]
        [tensor([-1.]), tensor([1.])]
    """
    check_size("n_train", n_train)
    check_size("n_test", n_test)
    check_memory("the samples", 12 * (n_train + n_test))
    check_non_negative("noise", noise)
    check_int("seed", seed, at_least=0, at_most=2**32 - 1)
    train, test = [], []
    for function, (low, high) in POLYNOMIALS:
        generator = np.random.RandomState(seed)
        x = generator.uniform(low, high, size=(n_train, 1))
        y = function(x) + generator.normal(0, noise, size=(n_train, 1))
        train.append((torch.from_numpy(x), torch.from_numpy(y)))
        x = np.linspace(low, high, n_test).reshape(n_test, 1)
        test.append((torch.from_numpy(x), torch.from_numpy(function(x))))
    return regression_benchmark(train, test)
