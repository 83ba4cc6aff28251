"""Regression: plain tensors as a stream of experiences with vector targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from avalanche.benchmarks import CLScenario
from torch import Tensor

from avalanche_hsf.benchmarks.tensor_streams import (
    LabelsOfExperience,
    check_streams,
    train_and_test,
)

Pair = tuple[Tensor, Tensor]


def regression_benchmark(
    train: Sequence[Pair],
    test: Sequence[Pair] | None = None,
    *,
    task_labels: Sequence[LabelsOfExperience] | None = None,
    test_task_labels: Sequence[LabelsOfExperience] | None = None,
    dtype: torch.dtype = torch.float32,
) -> CLScenario:
    """A stream of regression experiences: items `[x, y, t]` with a vector y.

    As `reconstruction_benchmark`, which is for y = x: the other arguments and errors are the same.
    Every Avalanche strategy that is sound on vector targets runs on it with `MSELoss`.

    Args:
        train: One pair per experience: x, a `n_i x *features` tensor, and y, a `n_i x *outputs`
            tensor, both floating point. Shapes after the first dimension are the same in all
            experiences.
        test: The same for the test stream, one pair per training experience. Default: the
            training samples.

    Raises:
        ValueError: Also x and y of different lengths.

    Example:
        >>> x = torch.linspace(-1, 1, 20).view(20, 1)
        >>> benchmark = regression_benchmark([(x, x**2), (x, 1 - x)])
        >>> [tensor.shape for tensor in benchmark.train_stream[1].dataset[0][:2]]
        [torch.Size([1]), torch.Size([1])]
    """
    inputs = check_streams("x of ", *_column(0, train, test))
    targets = check_streams("y of ", *_column(1, train, test))
    for name in inputs:
        for i, (x, y) in enumerate(zip(inputs[name], targets[name], strict=True)):
            if len(x) != len(y):
                raise ValueError(f"{name}[{i}] has {len(x)} x but {len(y)} y")
    return train_and_test(inputs, targets, task_labels, test_task_labels, dtype)


def _column(
    k: int, train: Sequence[Pair], test: Sequence[Pair] | None
) -> tuple[list[Tensor], list[Tensor] | None]:
    return [pair[k] for pair in train], None if test is None else [pair[k] for pair in test]
