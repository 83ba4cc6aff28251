"""Errors over any number of minibatches: the mean squared error and the share misclassified."""

from __future__ import annotations

import torch
from avalanche.evaluation import Metric
from torch import Tensor


class MeanError(Metric[float]):
    """The base of errors that are a sum over a count; lower is better."""

    higher_is_better = False

    def __init__(self) -> None:
        self.reset()

    def result(self) -> float:
        """The mean since the last reset; NaN if there was no minibatch."""
        return self._sum / self._count if self._count else float("nan")

    def reset(self) -> None:
        """Forgets all minibatches."""
        self._sum, self._count = 0.0, 0


class MeanSquaredError(MeanError):
    """MSE = mean over samples and features of (output - target)^2.

    Independent of the training loss: it compares the output (`mb_output`) with the target
    (`mb_y`), whatever the criterion.

    Example:
        >>> mse = MeanSquaredError()
        >>> mse.update(torch.zeros(2, 3), torch.ones(2, 3))
        >>> mse.result()
        1.0
    """

    name = "MSE"

    @torch.no_grad()
    def update(self, output: Tensor, target: Tensor) -> None:
        """Adds a minibatch of `n x *features` tensors; ValueError if their shapes differ."""
        if output.shape != target.shape:
            raise ValueError(
                f"the MSE needs outputs in the shape of their targets, got {tuple(output.shape)} "
                f"and {tuple(target.shape)}"
            )
        self._sum += float((output - target).double().square().sum())
        self._count += output.numel()


class MisclassificationRate(MeanError):
    """1 - accuracy, in [0, 1].

    Example:
        >>> rate = MisclassificationRate()
        >>> rate.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        >>> rate.result()
        0.5
    """

    name = "ErrorRate"

    @torch.no_grad()
    def update(self, output: Tensor, target: Tensor) -> None:
        """Adds a minibatch of `n x n_classes` scores and n class indices."""
        self._sum += int((output.argmax(dim=1) != target).sum())
        self._count += len(target)
