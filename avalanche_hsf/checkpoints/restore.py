"""Plain data put back into objects of the same construction."""

from __future__ import annotations

import base64
import copy
import functools
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.kinds import (
    NAMED,
    SCALARS,
    address_of,
    attributes_of,
    found,
    is_of_the_process,
)

MISSING: Any = object()
"""There is no object at that place yet."""


class Restore:
    """Reads the nodes that `Capture` writes, and puts them into what is there.

    Objects stay the same objects, parameters included, so that whoever holds them sees the state.
    Where there is none yet, as in a memory that was empty, one is made without running any code
    of its class. Modules are copied from one of the same class.

    Args:
        tensors: Those of the capture.
        packages: Further packages that classes may come from, see `found`.
        modules: Modules that others may be copied from.
        of_stream: Gives the object of the stream at a path; `MISSING` as long as it is not known,
            and what is there stays.
        moved: Device that tensors of a device are put on, by its name; others stay on the CPU.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        *,
        packages: Set[str] = frozenset(),
        modules: Sequence[nn.Module] = (),
        of_stream: Callable[[Sequence[Any]], Any] | None = None,
        moved: dict[str, torch.device] | None = None,
    ) -> None:
        self._tensors = tensors
        self._packages = packages
        self._modules = {type(module): module for module in reversed(modules)}
        self._of_stream = of_stream
        self._moved = moved or {}
        self._made: dict[int, Any] = {}

    def put(self, node: Any, current: Any = MISSING, path: str = "") -> Any:
        """The value of a node, which is the current object wherever it can be.

        Raises:
            CheckpointError: The current object is of another kind, or cannot be made; names the
                path.
        """
        if isinstance(node, (*SCALARS, float)):
            return node
        kind, *parts = node
        if kind == "again":
            return self._made[parts[0]]
        read = getattr(self, f"read_{kind.replace(' ', '_')}", None)
        if read is None:
            raise CheckpointError(f"{_at(path)}: unknown kind {kind!r}")
        return read(*parts, current, path)

    # What cannot change.

    def read_float(self, text: str, current: Any, path: str) -> float:
        return float(text)

    def read_complex(self, real: float, imag: float, current: Any, path: str) -> complex:
        return complex(real, imag)

    def read_bytes(self, text: str, current: Any, path: str) -> bytes:
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
        value = found(address, self._packages)
        if value is None or (isinstance(current, NAMED) and "<" in address):
            here = "something else" if current is MISSING or current is None else _name(current)
            raise CheckpointError(f"{_at(path)} is {address} in the checkpoint, here {here}")
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

    # What can.

    def read_tensor(
        self,
        number: int,
        index: int,
        order: list[int],
        is_parameter: bool,
        wants_gradient: bool,
        device: str,
        gradient: Any,
        current: Any,
        path: str,
    ) -> Tensor:
        stored = self._tensors[index].permute([order.index(i) for i in range(len(order))])
        same = isinstance(current, Tensor) and current.dtype == stored.dtype
        if is_parameter and isinstance(current, nn.Parameter) and same:
            value: Tensor = current
            with torch.no_grad():
                if current.shape == stored.shape and current.stride() == stored.stride():
                    current.copy_(stored)
                else:
                    current.data = stored.to(current.device, copy=True)
        else:
            place = current.device if same else self._moved.get(device, torch.device("cpu"))
            value = stored.to(place, copy=True)
            value = nn.Parameter(value, wants_gradient) if is_parameter else value
        self._made[number] = value
        value.requires_grad_(wants_gradient)
        value.grad = self.put(gradient, MISSING, path)
        return value

    def read_like(
        self, number: int, address: str, shape: list[int], current: Any, path: str
    ) -> Any:
        if not isinstance(current, Tensor) or address_of(type(current)) != address:
            raise self._other(address, current, path)
        if list(current.shape) != shape:
            raise CheckpointError(
                f"{_at(path)} has shape {tuple(shape)} in the checkpoint, {tuple(current.shape)} "
                "here: it is of another model"
            )
        self._made[number] = current
        return current

    def read_array(self, number: int, index: int, current: Any, path: str) -> Any:
        self._made[number] = self._tensors[index].numpy().copy()
        return self._made[number]

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

    def read_list(self, number: int, items: Any, current: Any, path: str) -> list[Any]:
        value = current if type(current) is list else []
        self._made[number] = value
        value[:] = self._items(items, list(value), path)
        return value

    def read_iterator(self, number: int, items: Any, current: Any, path: str) -> Iterator[Any]:
        self._made[number] = iter(self._items(items, (), path))
        iterator: Iterator[Any] = self._made[number]
        return iterator

    def read_set(self, number: int, items: Any, current: Any, path: str) -> set[Any]:
        value = current if type(current) is set else set()
        self._made[number] = value
        values = self._items(items, (), path)
        value.clear()
        value.update(values)
        return value

    def read_deque(
        self, number: int, items: Any, length: int | None, current: Any, path: str
    ) -> deque[Any]:
        value: deque[Any] = deque(maxlen=length)
        self._made[number] = value
        value.extend(self._items(items, (), path))
        return value

    def read_dict(
        self,
        number: int,
        address: str,
        pairs: Any,
        factory: Any,
        further: Any,
        current: Any,
        path: str,
    ) -> Any:
        is_there = isinstance(current, dict) and address_of(type(current)) == address
        value = current if is_there else self._new(self._class(address, current, path))
        self._made[number] = value
        before = dict(value)
        if isinstance(value, defaultdict):
            value.default_factory = self.put(factory, value.default_factory or MISSING, path)
        read = {}
        for key_node, node in pairs:
            key = self.put(key_node, MISSING, path)
            at = f"{path}[{key!r}]" if isinstance(key, str) else path
            read[key] = self.put(node, before.get(key, MISSING), at)
        value.clear()
        value.update(read)
        for name, node in further.items():
            vars(value)[name] = self.put(node, vars(value).get(name, MISSING), path)
        return value

    def read_kept(self, number: int, address: str, current: Any, path: str) -> Any:
        if current is MISSING or current is None or address_of(type(current)) != address:
            raise self._other(address, current, path)
        self._made[number] = current
        return current

    def read_anew(self, number: int, current: Any, path: str) -> Any:
        self._made[number] = None if current is MISSING else current
        return self._made[number]

    def read_says(self, number: int, address: str, state: Any, current: Any, path: str) -> Any:
        if current is MISSING or current is None or address_of(type(current)) != address:
            raise self._other(address, current, path)
        self._made[number] = current
        current.load_state_dict(self.put(state, MISSING, path))
        return current

    def read_object(
        self, number: int, address: str, attributes: dict[str, Any], current: Any, path: str
    ) -> Any:
        if current is not MISSING and current is not None:
            if address_of(type(current)) != address:
                raise self._other(address, current, path)
            value = current
        else:
            value = self._new(self._class(address, MISSING, path))
        self._made[number] = value
        before = attributes_of(value) or {}
        moved = self._moved
        if isinstance(value, (AvalancheDataset, TensorDataset)):
            self._moved = {}  # samples are moved in minibatches
        for name, node in attributes.items():
            _set(value, name, self.put(node, before.get(name, MISSING), f"{path}.{name}"))
        self._moved = moved
        for name in before.keys() - attributes.keys():
            if not is_of_the_process(before[name]) and not isinstance(before[name], NAMED):
                vars(value).pop(name, None)
        return value

    def read_stream(self, path_there: Sequence[Any], current: Any, path: str) -> Any:
        value = MISSING if self._of_stream is None else self._of_stream(path_there)
        return value if value is not MISSING else None if current is MISSING else current

    # How objects are found and made.

    def _items(self, items: Any, current: Sequence[Any], path: str) -> list[Any]:
        if items[:1] == ["integers"]:
            return list(self._tensors[items[1]].tolist())
        there: Iterator[Any] = iter(current)
        return [
            self.put(node, next(there, MISSING), f"{path}[{i}]") for i, node in enumerate(items)
        ]

    def _class(self, address: str, current: Any, path: str) -> Any:
        if current is not MISSING and address_of(type(current)) == address:
            return type(current)
        kind = found(address, self._packages)
        if not isinstance(kind, type):
            raise self._other(address, current, path)
        return kind

    def _new(self, kind: type) -> Any:
        if issubclass(kind, nn.Module):
            if kind in self._modules:
                return copy.deepcopy(self._modules[kind])
            module = kind.__new__(kind)
            nn.Module.__init__(module)
            return module
        return kind.__new__(kind)

    def _other(self, address: str, current: Any, path: str) -> CheckpointError:
        here = "nothing" if current is MISSING or current is None else _name(type(current))
        name = address.partition(":")[2]
        return CheckpointError(
            f"{_at(path)} is of class {name} in the checkpoint, here it is "
            f"{here}: make the strategy as the one that was saved"
        )


def _set(value: Any, name: str, attribute: Any) -> None:
    """Past any property and `__setattr__`: no code of the class runs."""
    if hasattr(value, "__dict__") and name not in _slots(type(value)):
        vars(value)[name] = attribute
    else:
        object.__setattr__(value, name, attribute)


@functools.cache
def _slots(kind: type) -> frozenset[str]:
    return frozenset(
        name for base in kind.__mro__ for name in np.atleast_1d(vars(base).get("__slots__", ()))
    )


def _name(value: Any) -> str:
    return address_of(value).partition(":")[2] if isinstance(value, NAMED) else repr(value)


def _at(path: str) -> str:
    return path.removeprefix(".") or "the strategy"
