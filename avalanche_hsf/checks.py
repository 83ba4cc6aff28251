"""Checks of arguments, shared by every layer of the package.

Each returns the given value, or raises naming the value and what was expected. Torch is imported
where a tensor is checked: the command line checks names and numbers without it.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import pairwise
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LARGEST = 2**31 - 1
"""Of a size."""
LARGEST_SEED = 2**48
"""From which several generators are seeded."""


def shown(value: object) -> str:
    """A value as an error shows it: on one line, and short."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_int(name: str, value: object, *, at_least: int, at_most: int | None = None) -> int:
    """An integer from `at_least` to `at_most`; TypeError or ValueError otherwise.

    >>> check_int("n_samples", 300, at_least=2)
    300
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        got = f"{shown(value)} of type {type(value).__name__}"
        raise TypeError(f"{name} must be an integer, got {got}")
    number = int(value)
    if number < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {number}")
    if at_most is not None and number > at_most:
        raise ValueError(f"{name} must be at most {at_most}, got {number}")
    return number


def check_size(name: str, value: object, *, at_least: int = 1) -> int:
    """An integer that can be the size of something."""
    return check_int(name, value, at_least=at_least, at_most=LARGEST)


def check_layers(what: str, *widths: int, times: int = 1) -> None:
    """ValueError if layers of these widths do not fit into the memory of this machine."""
    check_memory(what, times * numbers_in(*widths))


def numbers_in(*widths: int) -> int:
    """Weights and biases of linear layers from each width to the next."""
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(widths))


def check_memory(what: str, n: int) -> None:
    """ValueError if n numbers of float32 do not fit into the memory of this machine."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not told here
        memory = 2**40
    if 4 * n > memory:
        raise ValueError(
            f"{what} would need {4 * n / 2**30:.3g} GiB, and this machine has "
            f"{memory / 2**30:.3g} GiB: choose smaller sizes"
        )


def check_non_negative(name: str, value: object) -> float:
    """A finite number that is not below zero; TypeError or ValueError otherwise."""
    number = check_finite(name, value)
    if number < 0:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
    return number


def check_finite(name: str, value: object) -> float:
    """A finite number; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real):
        got = f"{shown(value)} of type {type(value).__name__}"
        raise TypeError(f"{name} must be a number, got {got}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {value}")
    return number


def check_positive(name: str, value: object) -> float:
    """A finite number above zero; TypeError or ValueError otherwise."""
    number = check_non_negative(name, value)
    if number == 0:
        raise ValueError(f"{name} must be above 0, got {value}")
    return number


def check_share(name: str, value: object, *, at_most: float = 1.0) -> float:
    """A number above 0 and at most 1, or another limit; TypeError or ValueError otherwise."""
    number = check_positive(name, value)
    if number > at_most:
        raise ValueError(f"{name} must be at most {at_most:g}, got {value}")
    return number


def check_bool(name: str, value: object) -> bool:
    """True or False; TypeError otherwise."""
    if isinstance(value, bool):
        return value
    import numpy as np

    if not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def check_choice(what: str, value: object, choices: Collection[str]) -> str:
    """One of some names; ValueError, with the valid ones, otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"unknown {what} {shown(value)}; choose from {', '.join(choices)}")
    return value


def check_mapping(name: str, value: object) -> dict[str, Any]:
    """A dictionary of options by name, empty for None; TypeError otherwise."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(f"{name} must be a dictionary of options by name, got {shown(value)}")
    return dict(value)


def check_options(what: str, options: Mapping[str, Any], function: Callable[..., Any]) -> None:
    """TypeError, with the valid names, if a function or class has no argument of some name."""
    names = list(inspect.signature(function).parameters)
    for option in options:
        if option not in names:
            choice = ", ".join(names) or "nothing, it has no options"
            raise TypeError(f"{what} has no option {option!r}; choose from {choice}")


def check_criterion_type(name: str, value: object) -> Any:
    """A function of output and target, or None; TypeError otherwise."""
    if isinstance(value, type):
        kind = value.__name__
        raise TypeError(f"{name} must be an instance, got the class {kind}; give {kind}()")
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable, got {shown(value)}")
    return value


def check_names(name: str, value: object) -> tuple[str, ...]:
    """A list or tuple of names; TypeError otherwise."""
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of names, got the string {value!r}")
    from torch import Tensor

    if not isinstance(value, Iterable) or isinstance(value, (Mapping, Tensor, type, bytes)):
        raise TypeError(f"{name} must be a list of names, got {shown(value)}")
    names = tuple(value)
    for each in names:
        if not isinstance(each, str):
            raise TypeError(f"{name} must be a list of names, but holds {shown(each)}")
    return names


def check_dtype(name: str, value: object) -> torch.dtype:
    """A floating-point type; TypeError otherwise."""
    import torch

    if not isinstance(value, torch.dtype) or not value.is_floating_point:
        hint = "; give torch.float32 and the like" if not isinstance(value, torch.dtype) else ""
        raise TypeError(f"{name} must be a floating-point type, got {shown(value)}{hint}")
    return value


def check_task_labels(task_labels: Tensor, n: int) -> Tensor:
    """An integer tensor, one task label for each of n samples; TypeError or ValueError otherwise.

    >>> import torch
    >>> check_task_labels(torch.tensor([4, 2, 4]), 3)
    tensor([4, 2, 4])
    """
    import torch

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
        TypeError: It is not a dense tensor with values, or not floating point.
        ValueError: It has no samples, no feature dimension, or a NaN or infinite entry.
    """
    import torch

    if not isinstance(x, torch.Tensor):
        hint = "; use torch.from_numpy" if type(x).__module__ == "numpy" else ""
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}{hint}")
    if x.layout != torch.strided or x.is_nested:
        raise TypeError(f"{name} must be a dense tensor, got {x.layout}; use x.to_dense()")
    if not x.is_floating_point():
        raise TypeError(
            f"{name} must be a floating-point tensor, got {x.dtype}; convert it with .float()"
        )
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(
            f"{name} must hold at least one sample of at least one feature, as (n, *features); "
            f"got shape {tuple(x.shape)}"
        )
    if finite and x.is_meta:
        raise TypeError(f"{name} has no values, it is on the device meta; make it on a real one")
    if finite and not bool(torch.isfinite(x).all()):
        n_bad = int((~torch.isfinite(x)).sum())
        raise ValueError(f"{name} has NaN or infinite entries: {n_bad} of {x.numel()}")
    return x


def check_path(name: str, value: object) -> Path:
    """A path, or text that names one; TypeError otherwise."""
    if not isinstance(value, (str, Path)):
        raise TypeError(f"{name} must be a path, got {shown(value)}")
    return Path(value)
