"""The error of a model on one experience, without a strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from avalanche_hsf.checks import check_int

Criterion = Callable[[Tensor, Tensor], Tensor]


def error_on(
    experience: Any, criterion: Criterion | None = None, *, mb_size: int = 256, n_passes: int = 1
) -> Callable[[nn.Module], float]:
    """A function that measures a model's mean error on the samples of an experience.

    Args:
        experience: With items `[x, y, t]`, as every Avalanche benchmark has.
        criterion: Mean error of output and y of a minibatch. Default: the cross entropy for class
            targets, else the mean squared error.
        mb_size: Samples per minibatch.
        n_passes: Passes whose mean is taken, for models that draw noise.

    Returns:
        A function from a model to its error. During the evaluation it seeds torch's global
        generator, so models that draw from it always draw the same.
    """
    check_int("n_passes", n_passes, at_least=1)
    dataset = experience.dataset.eval()
    minibatches = list(DataLoader(dataset, batch_size=mb_size, collate_fn=default_collate))

    @torch.no_grad()
    def error(model: nn.Module) -> float:
        model.eval()
        total = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _ in range(n_passes):
                for minibatch in minibatches:
                    total += float(loss_of(model, minibatch, criterion)) * len(minibatch[0])
        return total / (n_passes * len(dataset))

    return error


def loss_of(model: nn.Module, minibatch: Sequence[Tensor], criterion: Criterion | None) -> Tensor:
    """The criterion of a model's output and y, on a minibatch `[x, y, ..., t]`."""
    device = next(chain(model.parameters(), model.buffers())).device
    x, y, t = (minibatch[i].to(device) for i in (0, 1, -1))
    if criterion is None:
        criterion = nn.MSELoss() if y.is_floating_point() else nn.CrossEntropyLoss()
    return criterion(avalanche_forward(model, x, t), y)
