"""The error of a model on one experience, without a strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader

from avalanche_hsf.checks import check_criterion_type, check_int, shown
from avalanche_hsf.models.tasks.nested import map_tensors, n_rows

Criterion = Callable[[Tensor, Tensor], Tensor]


def error_on(
    experience: Any, criterion: Criterion | None = None, *, mb_size: int = 256, n_passes: int = 1
) -> Callable[[nn.Module], float]:
    """A function that measures a model's mean error on the samples of an experience.

    Args:
        experience: With items `[x, y, t]`, as every Avalanche benchmark has.
        criterion: Error of output and y of a minibatch: its mean, its sum, or one for each sample.
            Default: the cross entropy, for class targets alone.
        mb_size: Samples per minibatch.
        n_passes: Passes whose mean is taken, for models that draw noise.

    Returns:
        A function from a model to its error. During the evaluation it seeds torch's global
        generator, so models that draw from it always draw the same.

    Raises:
        ValueError: When called: no criterion is given, and the targets are no classes.
    """
    check_int("n_passes", n_passes, at_least=1)
    check_criterion_type("criterion", criterion)
    check_int("mb_size", mb_size, at_least=1)
    dataset = dataset_of(experience)
    minibatches = list(DataLoader(dataset, batch_size=mb_size, collate_fn=dataset.collate_fn))

    @torch.no_grad()
    def error(model: nn.Module) -> float:
        model.eval()
        total = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _ in range(n_passes):
                for minibatch in minibatches:
                    total += float(loss_of(model, minibatch, criterion)) * n_rows(minibatch[1])
        return total / (n_passes * len(dataset))

    return error


def dataset_of(experience: Any) -> AvalancheDataset:
    """The data of an experience, as in evaluation; TypeError if it has none."""
    dataset = getattr(experience, "dataset", None)
    if not isinstance(dataset, AvalancheDataset):
        raise TypeError(f"experience must be one of a benchmark, got {shown(experience)}")
    return dataset.eval()


def loss_of(model: nn.Module, minibatch: Sequence[Tensor], criterion: Criterion | None) -> Tensor:
    """The mean criterion of a model's output and y, on a minibatch `[x, y, ..., t]`."""
    device = next(chain(model.parameters(), model.buffers())).device
    x, y, t = (map_tensors(lambda part: part.to(device), minibatch[i]) for i in (0, 1, -1))
    if criterion is None:
        if not isinstance(y, Tensor) or y.is_floating_point():
            raise ValueError("the targets are no classes: give criterion=, such as nn.MSELoss()")
        criterion = nn.CrossEntropyLoss()
    loss = criterion(avalanche_forward(model, x, t), y)
    return loss / n_rows(y) if getattr(criterion, "reduction", "") == "sum" else loss.mean()
