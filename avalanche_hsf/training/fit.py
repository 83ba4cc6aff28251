"""The check that a criterion fits the output of a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate


def check_criterion(
    criterion: Callable[[Tensor, Tensor], Tensor], dataset: Any, *, output_dim: int | None
) -> None:
    """Tries a criterion on one sample, that of the largest class if targets are classes.

    The dataset has items `[x, y, t]`; without an `output_dim` the model reconstructs x. Raises
    ValueError if the criterion does not take an output and a target of these shapes.
    """
    targets = () if output_dim is None else getattr(dataset, "targets", ())
    classes = [int(y) if isinstance(y, Integral) else -1 for y in targets]
    largest = max(range(len(classes)), key=classes.__getitem__, default=0)
    x, y = default_collate([dataset[largest]])[:2]
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        return  # no fault of the criterion: the first minibatch says what is wrong
    target = x if output_dim is None else y
    output = torch.zeros_like(x) if output_dim is None else x.new_zeros(1, output_dim)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # MSELoss only warns, and broadcasts
            criterion(output, target)
    except (RuntimeError, IndexError, UserWarning) as error:
        raise ValueError(
            f"the criterion {criterion} does not fit: a sample has an output of shape "
            f"{tuple(output.shape[1:])} and a target of shape {tuple(target.shape[1:])}, "
            f"{target.dtype}. CrossEntropyLoss takes classes below output_dim, MSELoss a "
            f"target in the shape of the output. It said: {error}"
        ) from error
