"""What the matrix R says in one number, or one a task."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from avalanche_hsf.checks import check_bool, shown

N = TypeVar("N", float, Tensor)


def forgetting(matrix: Tensor, *, higher_is_better: bool = False) -> Tensor:
    """F[j] = R[last, j] - R[j, j] per task, shape (T,), or its negative where higher is better.

    Positive is worse; the last task's is 0.

    Args:
        matrix: R, a square `T x T` tensor; above the diagonal anything. Its i-th row must be
            that of experience i: the stream was trained once, in order.
        higher_is_better: False for errors, True for accuracies and the like.

    Raises:
        ValueError: The matrix is not square.

    Example:
        >>> forgetting(torch.tensor([[0.1, 9.0], [0.4, 0.2]]))
        tensor([0.3000, 0.0000])
    """
    last, learned = _square(matrix)[-1], matrix.diagonal()
    return excess(last, learned, higher_is_better)


def learning_accuracy(matrix: Tensor) -> float:
    """mean over j of R[j, j]: how well tasks are learned, before anything is forgotten.

    Source: Riemer et al. 2019, https://arxiv.org/abs/1810.11910. Arguments as in `forgetting`.

    Example:
        >>> learning_accuracy(torch.tensor([[0.75, 0.0], [0.5, 0.25]]))
        0.5
    """
    return float(_square(matrix).diagonal().mean())


def average_incremental_accuracy(matrix: Tensor) -> float:
    """mean over k of (mean over j <= k of R[k, j]): the accuracy so far, all along the stream.

    Source: Rebuffi et al. 2017, https://arxiv.org/abs/1611.07725. Arguments as in `forgetting`.

    Example:
        >>> average_incremental_accuracy(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
        0.75
    """
    R = _square(matrix)
    return float(torch.stack([R[k, : k + 1].mean() for k in range(len(R))]).mean())


def worst_since_learned(matrix: Tensor, *, higher_is_better: bool = False) -> Tensor:
    """max over i >= j of R[i, j] per task, shape (T,); the minimum where higher is better.

    With accuracies, averaged over all tasks but the last, it is the min-accuracy of De Lange et al.
    2023, https://arxiv.org/abs/2205.13452, as far as evaluations between experiences can see it.

    Example:
        >>> worst_since_learned(torch.tensor([[0.1, 9.0], [0.4, 0.2]]))
        tensor([0.4000, 0.2000])
    """
    R = _square(matrix)
    check_bool("higher_is_better", higher_is_better)
    columns = [R[j:, j] for j in range(len(R))]
    return torch.stack([c.min() if higher_is_better else c.max() for c in columns])


def forward_transfer(
    matrix: Tensor, untrained: Tensor, *, higher_is_better: bool = False
) -> Tensor:
    """b[j] - R[j - 1, j] for each task j but the first, shape (T - 1,), or its negative.

    What the tasks before are worth for a task that is yet to be learned: positive is better.

    Source: Lopez-Paz and Ranzato 2017, https://arxiv.org/abs/1706.08840.

    Args:
        matrix: As in `forgetting`, with the cells one above the diagonal measured.
        untrained: b, the measure on each task before any training, shape (T,).
        higher_is_better: As in `forgetting`.

    Example:
        >>> forward_transfer(torch.tensor([[0.1, 0.7], [0.4, 0.2]]), torch.tensor([0.9, 0.9]))
        tensor([0.2000])
    """
    R = _square(matrix)
    if untrained.shape != (len(R),):
        shape = tuple(untrained.shape)
        raise ValueError(f"untrained must have an entry for each of {len(R)} tasks, got {shape}")
    return excess(untrained[1:], R.diagonal(1), higher_is_better)


def intransigence(matrix: Tensor, reference: Tensor, *, higher_is_better: bool = False) -> Tensor:
    """R[j, j] - r[j] per task, shape (T,), or its negative: how far learning falls short.

    Positive is worse.

    Source: Chaudhry et al. 2018, https://arxiv.org/abs/1801.10112.

    Args:
        matrix: As in `forgetting`.
        reference: r, the measure on each task of a model that was trained on it and all tasks
            before at once, or on it alone, shape (T,); say which.
        higher_is_better: As in `forgetting`.

    Example:
        >>> intransigence(torch.tensor([[0.1, 9.0], [0.4, 0.2]]), torch.tensor([0.1, 0.1]))
        tensor([0.0000, 0.1000])
    """
    R = _square(matrix)
    if reference.shape != (len(R),):
        shape = tuple(reference.shape)
        raise ValueError(f"reference must have an entry for each of {len(R)} tasks, got {shape}")
    return excess(R.diagonal(), reference, higher_is_better)


def excess(a: N, b: N, higher_is_better: bool) -> N:
    """How much worse a is than b; positive is worse, whichever way the measure points."""
    return b - a if check_bool("higher_is_better", higher_is_better) else a - b


def _square(matrix: Tensor) -> Tensor:
    if not isinstance(matrix, Tensor) or matrix.layout != torch.strided:
        raise TypeError(f"matrix must be a dense tensor, got {shown(matrix)}")
    if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1]:
        shape = tuple(matrix.shape)
        raise ValueError(f"a row and a column of R per task are needed, got shape {shape}")
    return matrix
