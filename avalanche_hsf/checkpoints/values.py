"""Plain data put back into values: numbers, names, arrays and generators."""

from __future__ import annotations

import base64
import functools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.kinds import NAMED, address_of, harmless
from avalanche_hsf.checkpoints.pictures import shown_as

MISSING: Any = object()
"""There is no object at that place yet."""


class RestoreValues(ABC):
    """The part of `Restore` that needs no object of the strategy, and its arguments."""

    def __init__(
        self,
        tensors: Sequence[Tensor],
        *,
        packages: Set[str] = frozenset(),
        of_stream: Callable[[Sequence[Any]], Any] = lambda path: MISSING,
        moved: dict[str, torch.device] | None = None,
    ) -> None:
        self._tensors = tensors
        self._packages = packages
        self._of_stream = of_stream
        self._moved = moved or {}
        self._made: dict[int, Any] = {}

    @abstractmethod
    def put(self, node: Any, current: Any = MISSING, path: str = "") -> Any:
        """See `Restore`."""

    @abstractmethod
    def _items(self, items: Any, current: Sequence[Any], path: str) -> list[Any]:
        """The values of some nodes."""

    @abstractmethod
    def _class(self, address: str, current: Any, path: str) -> Any:
        """The class of an address."""

    def read_float(self, text: str, current: Any, path: str) -> float:
        return float(text)

    def read_complex(self, real: float, imag: float, current: Any, path: str) -> complex:
        return complex(real, imag)

    def read_bytes(self, text: str | int, current: Any, path: str) -> bytes:
        if isinstance(text, int):
            return self._tensors[text].numpy().tobytes()
        return base64.b64decode(text)

    def read_dtype(self, name: str, current: Any, path: str) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, name)
        return dtype

    def read_device(self, name: str, current: Any, path: str) -> torch.device:
        return self._moved.get(name, torch.device("cpu"))

    def read_number(self, index: int, current: Any, path: str) -> Any:
        return self._tensors[index].numpy()[()]

    def read_range(self, *bounds: Any) -> range:
        return range(*bounds[:3])

    def read_slice(self, *bounds: Any) -> slice:
        return slice(*bounds[:3])

    def read_named(self, address: str, current: Any, path: str) -> Any:
        if isinstance(current, NAMED) and address_of(current) == address:
            return current
        value = harmless(address)  # a class that is called later runs its constructor
        if value is None:
            here = "something else" if current is MISSING or current is None else name_of(current)
            raise CheckpointError(f"{at(path)} is {address} in the checkpoint, here {here}")
        return value

    def read_enum(self, address: str, name: str, current: Any, path: str) -> Any:
        return getattr(self._class(address, current, path), name)

    def read_partial(self, function: Any, args: Any, keywords: Any, current: Any, path: str) -> Any:
        there = isinstance(current, functools.partial)
        f = self.put(function, current.func if there else MISSING, path)
        a = self.put(args, list(current.args) if there else MISSING, path)
        return functools.partial(f, *a, **self.put(keywords, MISSING, path))

    def read_tuple(self, address: str, items: Any, current: Any, path: str) -> Any:
        values = self._items(items, current if isinstance(current, tuple) else (), path)
        if address == "torch:Size":
            return torch.Size(values)
        if address == address_of(tuple):
            return tuple(values)
        return tuple.__new__(self._class(address, current, path), values)

    def read_frozenset(self, items: Any, current: Any, path: str) -> frozenset[Any]:
        return frozenset(self._items(items, (), path))

    def read_array(self, number: int, index: int, current: Any, path: str) -> Any:
        self._made[number] = self._tensors[index].numpy().copy()
        return self._made[number]

    def read_picture(self, number: int, index: int, size: Any, current: Any, path: str) -> Any:
        self._made[number] = shown_as(self._tensors[index], size)
        return self._made[number]

    def read_process(self, number: int, current: Any, path: str) -> psutil.Process:
        self._made[number] = current if isinstance(current, psutil.Process) else psutil.Process()
        process: psutil.Process = self._made[number]
        return process

    def read_objects(
        self, number: int, shape: list[int], items: Any, current: Any, path: str
    ) -> np.ndarray:
        array = np.empty(shape, dtype=object)
        self._made[number] = array
        array.ravel()[:] = self._items(items, (), path)
        return array

    def read_generator(self, number: int, device: str, index: int, current: Any, path: str) -> Any:
        if not isinstance(current, torch.Generator):
            current = torch.Generator(self._moved.get(device, torch.device("cpu")))
        state = self._tensors[index]
        if len(current.get_state()) == len(state):  # another kind of device starts anew
            current.set_state(state.clone())
        self._made[number] = current
        return current

    def read_numpy_generator(self, number: int, state: Any, current: Any, path: str) -> Any:
        value = self.put(state, MISSING, path)
        if not isinstance(current, np.random.Generator):
            current = np.random.Generator(getattr(np.random, value["bit_generator"])())
        current.bit_generator.state = value
        self._made[number] = current
        return current

    def read_numpy_state(self, number: int, state: Any, current: Any, path: str) -> Any:
        current = current if isinstance(current, np.random.RandomState) else np.random.RandomState()
        current.set_state(self.put(state, MISSING, path))
        self._made[number] = current
        return current

    def read_random(self, number: int, state: Any, current: Any, path: str) -> random.Random:
        current = current if isinstance(current, random.Random) else random.Random()
        current.setstate(self.put(state, MISSING, path))
        self._made[number] = current
        return current


def at(path: str) -> str:
    """A path, for messages."""
    return path.removeprefix(".") or "the strategy"


def name_of(value: Any) -> str:
    """A class or function by its name, anything else as it prints."""
    return address_of(value).partition(":")[2] if isinstance(value, NAMED) else repr(value)
