"""Tensors in nested dictionaries, lists and tuples, as modules take and return them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor


def map_tensors(function: Callable[..., Any], *nested: Any) -> Any:
    """Applies a function to corresponding leaves of nested dictionaries, lists and tuples."""
    first = nested[0]
    if isinstance(first, Mapping):
        mapped: Any = copy.copy(first)  # of its class, with its attributes
        for key in first:
            mapped[key] = map_tensors(function, *(one[key] for one in nested))
        return mapped
    if isinstance(first, (list, tuple)):
        parts = [map_tensors(function, *group) for group in zip(*nested, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return function(*nested)


def leaves(nested: Any) -> Iterator[Any]:
    """What nested dictionaries, lists and tuples hold."""
    if isinstance(nested, Mapping):
        nested = list(nested.values())
    if isinstance(nested, (list, tuple)):
        for part in nested:
            yield from leaves(part)
    else:
        yield nested


def tensors_of(nested: Any) -> list[Tensor]:
    """The tensors among the leaves."""
    return [leaf for leaf in leaves(nested) if isinstance(leaf, Tensor)]


def n_rows(x: Any) -> int:
    """The rows of an input, which are the first dimension of each tensor in it.

    Raises:
        TypeError: It holds no tensor.
    """
    counts = [len(tensor) for tensor in tensors_of(x) if tensor.dim()]
    if not counts:
        raise TypeError(f"the input holds no tensor with rows, got {type(x).__name__}")
    return counts[0]


def with_tensors(nested: Any, parts: list[Tensor]) -> Any:
    """The same with other tensors, in the order of `tensors_of`."""
    new = iter(parts)
    return map_tensors(lambda leaf: next(new) if isinstance(leaf, Tensor) else leaf, nested)


def rows_of(nested: Any, rows: Tensor) -> Any:
    """Some rows of each tensor, given by their index; one without dimensions belongs to all."""
    return map_tensors(
        lambda t: t[rows.to(t.device)] if isinstance(t, Tensor) and t.dim() else t, nested
    )


def cloned(nested: Any) -> Any:
    """The same with copies of the tensors, which may be changed in place."""
    return map_tensors(lambda t: t.clone() if isinstance(t, Tensor) else t, nested)
