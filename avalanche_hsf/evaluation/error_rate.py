"""The share of samples that a classifier gets wrong."""

from __future__ import annotations

import torch
from avalanche.evaluation import Metric
from torch import Tensor


class MisclassificationRate(Metric[float]):
    """1 - accuracy over any number of batches, in [0, 1]; lower is better.

    Example:
        >>> rate = MisclassificationRate()
        >>> rate.update(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        >>> rate.result()
        0.5
    """

    name = "ErrorRate"
    higher_is_better = False

    def __init__(self) -> None:
        self.reset()

    @torch.no_grad()
    def update(self, output: Tensor, target: Tensor) -> None:
        """Adds a batch.

        Args:
            output: `n x n_classes` scores.
            target: n class indices.
        """
        self._wrong += int((output.argmax(dim=1) != target).sum())
        self._count += len(target)

    def result(self) -> float:
        """The rate since the last reset; NaN if there was no batch."""
        return self._wrong / self._count if self._count else float("nan")

    def reset(self) -> None:
        """Forgets all batches."""
        self._wrong = self._count = 0
