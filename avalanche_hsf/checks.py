"""Checks of arguments, shared by every layer of the package.

Each returns the given value, or raises naming the value and what was expected.
"""

from __future__ import annotations

import math
from numbers import Integral, Real

import torch
from torch import Tensor


def check_int(name: str, value: object, *, at_least: int) -> int:
    """An integer of at least `at_least`; TypeError or ValueError otherwise.

    >>> check_int("n_samples", 300, at_least=2)
    300
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value}")
    return int(value)


def check_non_negative(name: str, value: object) -> float:
    """A finite number that is not below zero; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
    return float(value)


def check_positive(name: str, value: object) -> float:
    """A finite number above zero; TypeError or ValueError otherwise."""
    number = check_non_negative(name, value)
    if number == 0:
        raise ValueError(f"{name} must be above 0, got {value}")
    return number


def check_task_labels(task_labels: Tensor, n: int) -> Tensor:
    """An integer tensor, one task label for each of n samples; TypeError or ValueError otherwise.

    >>> check_task_labels(torch.tensor([4, 2, 4]), 3)
    tensor([4, 2, 4])
    """
    dtype = task_labels.dtype
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        raise TypeError(f"task labels must be integers, got a tensor of {dtype}")
    if task_labels.shape != (n,):
        raise ValueError(
            f"task labels must be one per sample, shape ({n},), got {tuple(task_labels.shape)}"
        )
    return task_labels


def check_samples(name: str, x: object, *, finite: bool = True) -> Tensor:
    """A `n x *features` floating-point tensor of finite samples, at least one.

    Args:
        name: What the tensor is called.
        x: The tensor.
        finite: False: NaN and infinite entries pass, which something else looks for.

    Raises:
        TypeError: It is not a tensor, or not floating point.
        ValueError: It has no samples, no feature dimension, or a NaN or infinite entry.
    """
    if not isinstance(x, Tensor):
        hint = "; use torch.from_numpy" if type(x).__module__ == "numpy" else ""
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}{hint}")
    if not x.is_floating_point():
        raise TypeError(
            f"{name} must be a floating-point tensor, got {x.dtype}; convert it with .float()"
        )
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(
            f"{name} must hold at least one sample of at least one feature, as (n, *features); "
            f"got shape {tuple(x.shape)}"
        )
    if finite and not bool(torch.isfinite(x).all()):
        n_bad = int((~torch.isfinite(x)).sum())
        raise ValueError(f"{name} has NaN or infinite entries: {n_bad} of {x.numel()}")
    return x
