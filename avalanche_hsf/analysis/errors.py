"""The error of a model on samples of a task, without a strategy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.analysis.data import Data, Minibatch, minibatches_of
from avalanche_hsf.checks import check_criterion_type, check_int
from avalanche_hsf.models.tasks.nested import map_tensors, n_rows

Criterion = Callable[[Any, Any], Tensor]


def error_on(
    data: Data, criterion: Criterion | None = None, *, mb_size: int = 256, n_passes: int = 1
) -> Callable[[nn.Module], float]:
    """A function that measures a model's mean error on the samples of a task.

    Args:
        data: See `Data` in `avalanche_hsf.analysis.data`.
        criterion: Error of output and y of a minibatch: its mean, its sum, or one for each sample.
            Default: the cross entropy, for class targets alone.
        mb_size: Samples per minibatch.
        n_passes: Passes whose mean is taken, for models that draw noise.

    Returns:
        A function from a model to its error. During the evaluation it seeds torch's global
        generator, so models that draw from it always draw the same.

    Raises:
        TypeError, ValueError: The data are none, or there are none.
        ValueError: When called: no criterion is given, and the targets are no classes.
    """
    errors = errors_on(data, criterion, mb_size=mb_size, n_passes=n_passes)
    return lambda model: float(errors(model).mean())


def errors_on(
    data: Data, criterion: Criterion | None = None, *, mb_size: int = 256, n_passes: int = 1
) -> Callable[[nn.Module], Tensor]:
    """As `error_on`, with an error for each sample, float64, shape `(n,)`.

    Their mean is the error. Where a criterion does not tell samples apart, which is so if it is not
    the mean over them, there is one entry, the error of all.
    """
    check_int("n_passes", n_passes, at_least=1)
    check_criterion_type("criterion", criterion)
    check_int("mb_size", mb_size, at_least=1)
    minibatches = minibatches_of(data, mb_size)

    @torch.no_grad()
    def errors(model: nn.Module) -> Tensor:
        model.eval()
        passes = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for _ in range(n_passes):
                passes.append(_errors(model, minibatches, criterion))
        if any(len(of_pass) == 1 for of_pass in passes):
            return torch.stack([of_pass.mean() for of_pass in passes]).mean(dim=0, keepdim=True)
        return torch.stack(passes).mean(dim=0)

    return errors


def loss_of(model: nn.Module, minibatch: Minibatch, criterion: Criterion | None) -> Tensor:
    """The mean criterion of a model's output and y, on a minibatch `[x, y]` or `[x, y, ..., t]`."""
    return mean_loss(criterion, *forward(model, minibatch))


def forward(model: nn.Module, minibatch: Minibatch) -> tuple[Any, Any]:
    """A model's output and y, on the model's device."""
    device = next(chain(model.parameters(), model.buffers())).device
    x, y, *rest = (map_tensors(lambda part: _on(device, part), part) for part in minibatch)
    if rest and "avalanche" in sys.modules:  # else no model can be one of Avalanche's
        from avalanche.models import avalanche_forward

        return avalanche_forward(model, x, rest[-1]), y
    return model(x), y


def _errors(model: nn.Module, minibatches: list[Minibatch], criterion: Criterion | None) -> Tensor:
    by_sample: list[Tensor] = []
    total, n = 0.0, 0
    for minibatch in minibatches:
        output, y = forward(model, minibatch)
        chosen = or_default(criterion, y)
        mean = mean_loss(chosen, output, y).double().cpu()
        total, n = total + float(mean) * n_rows(y), n + n_rows(y)
        of_samples = _by_sample(chosen, output, y)
        if of_samples is not None and _is_near(of_samples.mean(), mean):
            by_sample.append(of_samples)
    if len(by_sample) == len(minibatches):
        return torch.cat(by_sample)
    return torch.tensor([total / n], dtype=torch.float64)


def _by_sample(criterion: Criterion, output: Any, y: Any) -> Tensor | None:
    """One error for each sample; None where the criterion gives none."""
    reduction = getattr(criterion, "reduction", None)
    if isinstance(reduction, str):
        criterion = copy(criterion)
        criterion.reduction = "none"  # type: ignore[attr-defined]
    n = n_rows(y)
    losses = criterion(output, y)
    if losses.dim() == 0 or len(losses) != n:
        if not isinstance(output, Tensor) or not isinstance(y, Tensor):
            return None
        losses = torch.stack([criterion(output[i : i + 1], y[i : i + 1]).mean() for i in range(n)])
    rows = losses.reshape(n, -1).double().cpu()
    return rows.sum(dim=1) if reduction == "sum" else rows.mean(dim=1)


def mean_loss(criterion: Criterion | None, output: Any, y: Any) -> Tensor:
    """The mean criterion of an output and y; the cross entropy, if none is given."""
    criterion = or_default(criterion, y)
    loss = criterion(output, y)
    return loss / n_rows(y) if getattr(criterion, "reduction", "") == "sum" else loss.mean()


def _is_near(a: Tensor, b: Tensor) -> bool:
    """Up to rounding in float32; what is not finite in both is."""
    return bool(torch.allclose(a, b, rtol=1e-4, atol=1e-12, equal_nan=True))


def or_default(criterion: Criterion | None, y: Any) -> Criterion:
    """The cross entropy, if none is given; raises ValueError for targets that are no classes."""
    if criterion is not None:
        return criterion
    if not isinstance(y, Tensor) or y.is_floating_point():
        raise ValueError("the targets are no classes: give criterion=, such as nn.MSELoss()")
    return nn.CrossEntropyLoss()


def _on(device: torch.device, part: Any) -> Any:
    return part.to(device) if isinstance(part, Tensor) else part
