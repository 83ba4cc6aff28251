"""Samples under several tasks each, and samples that share a task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.inference.scores import Score


def scored(model: nn.Module, score: Score, x: Tensor, labels: Tensor, rows: int) -> Tensor:
    """Scores of n samples under m tasks each, `n x m` as labels, in passes of so many rows."""
    n, m = labels.shape
    step = max(1, rows // m)
    parts = []
    with evaluating(model):
        for start in range(0, n, step):
            some, of_some = x[start : start + step], labels[start : start + step]
            repeated = some.repeat(m, *[1] * (x.dim() - 1))
            with naming_dtypes(model, x):
                parts.append(score(model, repeated, of_some.T.flatten()).view(m, -1).T)
    return torch.cat(parts)


@contextmanager
def naming_dtypes(model: nn.Module, x: Tensor) -> Iterator[None]:
    """Says in a sentence, as a TypeError, that samples are of another dtype than a model's weights.

    Some models take other dtypes, so that only what torch refuses is.
    """
    try:
        yield
    except RuntimeError as error:
        dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
        if x.dtype in dtypes or not dtypes:
            raise
        wanted = sorted(map(str, dtypes))[0]
        raise TypeError(
            f"x is of {x.dtype}, the weights of the {type(model).__name__} are of {wanted}: give "
            f"x.to({wanted})"
        ) from error


def grouped(s: Tensor, size: int) -> Tensor:
    """Each row the mean of the consecutive rows that it shares a task with."""
    if check_int("group_size", size, at_least=1) == 1:
        return s
    group = torch.arange(len(s), device=s.device) // size
    sums = s.new_zeros(int(group[-1]) + 1, s.shape[1]).index_add(0, group, s)
    return (sums / group.bincount().to(s).unsqueeze(1))[group]


def lead(s: Tensor) -> Tensor:
    """How far the best of each row, `n x k`, is above the mean of the others that are finite."""
    best = s.amax(dim=1)
    finite = s.isfinite()
    others = s.where(finite, 0.0).sum(dim=1) - best
    return best - others / (finite.sum(dim=1) - 1).clamp(min=1)


def check_shape(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """ValueError unless samples have this shape."""
    if tuple(x.shape[1:]) != shape:
        sizes = ", ".join(map(str, ("n", *shape)))
        raise ValueError(
            f"{name} must be ({sizes}) as the samples of the tasks were, got {tuple(x.shape)}"
        )
