"""What the figures of errors take: by name the matrices R of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

Matrices = Mapping[str, Sequence[Tensor] | Tensor]
"""By name of a learner the matrices of its runs, one per seed: a list of `T x T` tensors, or a
`seeds x T x T` tensor, or the one `T x T` tensor of a single run. R[i, j] is the error on task j
after task i, NaN where it was not measured."""


def stacked(matrices: Matrices) -> dict[str, np.ndarray]:
    """By name a `seeds x T x T` array.

    Raises:
        ValueError: There are no learners, one has no runs, they are not of one number of tasks, or
            an error was measured in some runs of a learner alone, as after one diverged.
    """
    if not matrices:
        raise ValueError("matrices is empty: a figure needs a learner, as {name: [R, ...]}")
    arrays = {name: _stack(name, runs) for name, runs in matrices.items()}
    if len({array.shape[1] for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} {array.shape[1]}" for name, array in arrays.items())
        raise ValueError(f"the matrices must be of one number of tasks, got {sizes}")
    return arrays


def final_errors(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By name the mean of the last row of each run.

    Raises:
        ValueError: One is not finite, as of a run that diverged.
    """
    finals = {name: array[:, -1].mean(axis=1) for name, array in arrays.items()}
    for name, errors in finals.items():
        if not np.isfinite(errors).all():
            raise ValueError(
                f"a final error of {name} is not finite: leave out runs that diverged, and say so"
            )
    return finals


def seeds_in_words(arrays: Mapping[str, np.ndarray]) -> str:
    """How many runs the learners have, such as "5 seeds" or "5 to 10 seeds"."""
    counts = sorted({len(array) for array in arrays.values()})
    if counts == [1]:
        return "1 seed"
    return f"{counts[0]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def spread_in_words(centre: str, arrays: Mapping[str, np.ndarray]) -> str:
    """What is drawn of the runs, such as "mean and range, 5 seeds"."""
    seeds = seeds_in_words(arrays)
    return seeds if seeds == "1 seed" else f"{centre} and range, {seeds}"


def lower_triangle(matrix: np.ndarray) -> np.ndarray:
    """A copy without what is above the diagonal."""
    lower = matrix.copy()
    lower[np.triu_indices_from(lower, k=1)] = np.nan
    return lower


def _stack(name: str, runs: Sequence[Tensor] | Tensor) -> np.ndarray:
    if isinstance(runs, Tensor) and runs.dim() == 2:
        runs = [runs]
    if len(runs) == 0:
        raise ValueError(f"{name} has no runs: leave it out, and say so")
    shapes = {tuple(np.shape(run)) for run in runs}
    shape = next(iter(shapes))
    if len(shapes) > 1 or len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(
            f"{name} must have matrices of shape (T, T), got {', '.join(map(str, sorted(shapes)))}"
        )
    array = np.stack([torch.as_tensor(run, dtype=torch.float64).cpu().numpy() for run in runs])
    measured = np.isfinite(np.tril(array))
    if (measured.any(axis=0) != measured.all(axis=0)).any():
        raise ValueError(
            f"{name} has errors that are finite in some runs alone: leave out runs that diverged, "
            "and say so"
        )
    return array
