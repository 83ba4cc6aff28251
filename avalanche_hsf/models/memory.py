"""The memory of tensors and arrays, each byte counted once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

NO_STORAGE = (
    *(str, bytes, type, ModuleType, FunctionType, BuiltinFunctionType, MethodType),
    torch.Generator,
)
"""Types that are never looked into: code, text, and random generators."""


class Memory:
    """What tensors and arrays take, as intervals of addresses on each device.

    Memory that several share counts once; a view counts without the rest of its memory.

    Example:
        >>> memory, x = Memory(), torch.zeros(10)
        >>> memory.add(x[:6])
        >>> memory.add(x[4:])
        >>> memory.n_bytes()
        40
    """

    def __init__(self) -> None:
        self._intervals: dict[str, list[tuple[int, int]]] = {}

    def add(self, value: Tensor | np.ndarray) -> None:
        if isinstance(value, np.ndarray):
            device, start = "cpu", value.__array_interface__["data"][0]
            n_bytes = value.nbytes
        elif value.numel() == 0:
            return
        else:
            (device, start), n_bytes = address(value), extent(value)
        self._intervals.setdefault(device, []).append((start, start + n_bytes))

    def n_bytes(self) -> int:
        """Bytes of the union of all intervals."""
        return sum(map(length, self._intervals.values()))


def address(tensor: Tensor) -> tuple[str, int]:
    return str(tensor.device), tensor.data_ptr()


def extent(tensor: Tensor) -> int:
    """Bytes from the first to the last number of a tensor."""
    dims = zip(tensor.shape, tensor.stride(), strict=True)
    return (1 + sum((n - 1) * step for n, step in dims)) * tensor.element_size()


def length(intervals: list[tuple[int, int]]) -> int:
    """Of the union of intervals."""
    total = end = 0
    for start, stop in sorted(intervals):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total


def parts(value: Any) -> Iterator[tuple[str | None, Any]]:
    """What a value consists of: attributes with their names, entries of containers with None."""
    if isinstance(value, Mapping):
        yield from ((None, part) for part in value.values())
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        yield from ((None, part) for part in value)
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()
