"""An object and all that it holds, as plain data and tensors."""

from __future__ import annotations

import base64
import copy
import functools
import math
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np
import psutil
import torch
from avalanche.benchmarks import CLExperience
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.kinds import (
    ITERATORS,
    NAMED,
    SCALARS,
    address_of,
    attributes_of,
    has_a_position,
    is_harmless,
    is_method,
    is_of_datasets,
    is_of_the_process,
    says_what_it_keeps,
)
from avalanche_hsf.checkpoints.pictures import PICTURES, picture_of
from avalanche_hsf.checkpoints.stream import ITSELF
from avalanche_hsf.models.tasks.slots import EmptySlot

SHARED = (tuple, frozenset, bytes, complex, range, slice, Enum, torch.dtype, torch.device)
"""Of values that cannot change."""

LONG = 16
"""Integers in a list, or bytes, from which on they are kept as a tensor."""


class Capture:
    """Turns objects into nodes: scalars as they are, all else a list that begins with its kind.

    An object that is met twice is kept once. `Restore` reads the nodes.

    Args:
        outside: Paths of objects that need not be kept, since the stream has them, by identity.
        made_anew: Whether an iterator, at a path, is one that the preparation of an experience
            makes.
        copies: Whether tensors are copied; False to look for iterators alone.
        root: The strategy whose plugins are kept apart.

    Attributes:
        tensors: The tensors, on the CPU, in the order of their numbers.
        iterators: Those whose position cannot be read.
    """

    def __init__(
        self,
        outside: Mapping[int, Sequence[Any]] | None = None,
        *,
        made_anew: Callable[[Any, str], bool] = lambda iterator, path: False,
        copies: bool = True,
        root: Any = None,
    ) -> None:
        self.outside = outside or {}
        self.made_anew = made_anew
        self.copies = copies
        self.root = root
        self.tensors: list[Tensor] = []
        self.iterators: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._bases: dict[tuple[str, int], Tensor] = {}  # tensors that fill their memory
        self._in_samples = False
        self._held: list[Any] = []  # an identity is one as long as its object lives

    def node(self, value: Any, path: str = "") -> Any:
        """The node of a value; CheckpointError, which names the path, if it cannot be kept."""
        if isinstance(value, SCALARS) and type(value) in SCALARS:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else ["float", repr(value)]
        if self._is_of_stream(value):
            return ["stream", list(self.outside[id(value)])]
        if isinstance(value, CLExperience) and id(value.dataset) in self.outside:
            return ["stream", [*self.outside[id(value.dataset)], ITSELF]]
        if id(value) in self._numbers:
            return ["again", self._numbers[id(value)]]
        simple = self._immutable(value, path)
        if simple is not None:
            return simple
        number = len(self._held)
        self._numbers[id(value)] = number
        self._held.append(value)
        kind, *parts = self._mutable(value, path)
        return [kind, number, *parts]

    def _is_of_stream(self, value: Any) -> bool:
        """Values that all of a process share, such as (), say nothing by their identity."""
        if id(value) not in self.outside or isinstance(value, SHARED):
            return False
        return self._in_samples or not isinstance(value, NAMED)

    def _immutable(self, value: Any, path: str) -> Any:
        if isinstance(value, NAMED) and not is_method(value):
            if self._in_samples and self.copies and not is_harmless(value):
                raise CheckpointError(
                    f"{path.removeprefix('.')} has samples that go through {value.__name__}, which "
                    "only the stream can give again: save(strategy, folder, benchmark), or let a "
                    "CheckpointPlugin save"
                )
            return ["named", address_of(value)]
        if isinstance(value, Enum):
            return ["enum", address_of(type(value)), value.name]
        if isinstance(value, functools.partial):
            parts = [value.func, list(value.args), dict(value.keywords)]
            return ["partial", *(self.node(part, path) for part in parts)]
        if isinstance(value, torch.dtype):
            return ["dtype", str(value).removeprefix("torch.")]
        if isinstance(value, torch.device):
            return ["device", str(value)]
        if isinstance(value, bytes):
            if len(value) > LONG:
                return [
                    "bytes",
                    self._stored(torch.frombuffer(bytearray(value), dtype=torch.uint8)),
                ]
            return ["bytes", base64.b64encode(value).decode()]
        if isinstance(value, complex):
            return ["complex", value.real, value.imag]
        if isinstance(value, (np.str_, str)):
            return str(value)
        if isinstance(value, np.generic):
            return ["number", self._stored(torch.from_numpy(np.array(value)))]
        if isinstance(value, (range, slice)):
            return [type(value).__name__, value.start, value.stop, value.step]
        if isinstance(value, tuple):
            return ["tuple", address_of(type(value)), self._items(value, path)]
        if isinstance(value, frozenset):
            return ["frozenset", self._items(list(value), path)]
        return None

    def _mutable(self, value: Any, path: str) -> list[Any]:
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, np.ndarray):
            plain = value.dtype.kind in "biufcO" and value.dtype.isnative
            if type(value) is not np.ndarray or not plain:
                return self._not_read(value, path)
            if value.dtype == object:
                return ["objects", list(value.shape), self._items(value.ravel().tolist(), path)]
            stored = torch.from_numpy(np.ascontiguousarray(value)).reshape(value.shape)
            return ["array", self._stored(stored)]
        if isinstance(value, torch.Generator):
            return ["generator", str(value.device), self._stored(value.get_state())]
        if isinstance(value, psutil.Process):  # it can only speak of this one
            return ["process"]
        if isinstance(value, PICTURES):
            return self._picture(value)
        if isinstance(value, np.random.Generator):
            return ["numpy generator", self.node(value.bit_generator.state, path)]
        if isinstance(value, np.random.RandomState):
            return ["numpy state", self.node(value.get_state(), path)]
        if isinstance(value, random.Random):
            return ["random", self.node(value.getstate(), path)]
        if isinstance(value, (list, set, deque)) and not says_what_it_keeps(value):
            if type(value) not in (list, set, deque):
                return self._not_read(value, path)
            items = value if type(value) is list else list(value)
            more = [value.maxlen] if type(value) is deque else []
            return [type(value).__name__, self._items(items, path), *more]
        if isinstance(value, ITERATORS):
            return ["iterator", self._items(list(copy.copy(value)), path)]
        if has_a_position(value):
            self.iterators.append(value)
            if self.made_anew(value, path):
                return ["anew"]
        elif is_method(value):
            return ["method", self.node(value.__self__, path), value.__name__]
        elif is_of_the_process(value) and not says_what_it_keeps(value):
            return ["kept", address_of(type(value))]
        if isinstance(value, dict):
            return self._dict(value, path)
        if says_what_it_keeps(value):
            return ["says", address_of(type(value)), self.node(value.state_dict(), path)]
        return self._object(value, path)

    def _picture(self, value: Any) -> list[Any]:
        if not self.copies:
            return ["kept", address_of(type(value))]
        picture, size = picture_of(value)
        return ["picture", self._stored(picture), size]

    def _items(self, values: Sequence[Any], path: str) -> Any:
        if len(values) > LONG and all(type(v) is int and abs(v) < 2**63 for v in values):
            return ["integers", self._stored(torch.tensor(values))]
        return [self.node(value, f"{path}[{i}]") for i, value in enumerate(values)]

    def _dict(self, value: dict[Any, Any], path: str) -> list[Any]:
        pairs = [
            [self.node(k, path), self.node(v, f"{path}[{k!r}]" if isinstance(k, str) else path)]
            for k, v in value.items()
        ]
        factory = self.node(getattr(value, "default_factory", None), path)
        further = {n: self.node(v, path) for n, v in getattr(value, "__dict__", {}).items()}
        return ["dict", address_of(type(value)), pairs, factory, further]

    def _object(self, value: Any, path: str) -> list[Any]:
        if isinstance(value, AvalancheDataset) and not self._in_samples:
            self._in_samples = True
            try:
                return self._attributes(value, path)
            finally:
                self._in_samples = False
        if not self._in_samples or is_of_datasets(value) or not self.copies:
            return self._attributes(value, path)
        if getattr(type(value), "__getitem__", None) is not TensorDataset.__getitem__:
            raise CheckpointError(
                f"{path.removeprefix('.')} has samples of a {type(value).__name__}, which only "
                "the stream can give again: save(strategy, folder, benchmark), or let a "
                "CheckpointPlugin save"
            )
        # A subclass has labels besides, which Avalanche has noted.
        tensors = self.node(value.tensors, path)
        return ["object", address_of(TensorDataset), {"tensors": tensors}]

    def _attributes(self, value: Any, path: str) -> list[Any]:
        kind = address_of(type(value))
        attributes = attributes_of(value, self.root)
        if has_a_position(value) or attributes is None:
            return self._not_read(value, path)
        return ["object", kind, {n: self.node(v, f"{path}.{n}") for n, v in attributes.items()}]

    def _not_read(self, value: Any, path: str) -> list[Any]:
        """CheckpointError, unless iterators alone are looked for."""
        if not self.copies:
            return ["kept", address_of(type(value))]
        raise CheckpointError(
            f"{path.removeprefix('.')} is a {type(value).__qualname__}, whose state cannot be "
            "read: give the object that holds it a state_dict() and a load_state_dict(state)"
        )

    def _tensor(self, value: Tensor, path: str) -> list[Any]:
        if type(value) not in (Tensor, nn.Parameter):
            if not isinstance(value, EmptySlot):
                return self._not_read(value, path)
            return ["like", address_of(type(value)), list(value.shape)]
        if self.copies and (value.layout != torch.strided or value.is_meta):
            raise CheckpointError(f"{path.removeprefix('.')} is a {value.layout} tensor")
        if (view := self._view(value)) is not None:
            return view
        gradient = self.node(value.grad if value.is_leaf else None, path)
        further = {
            name: self.node(attribute, f"{path}.{name}")
            for name, attribute in vars(value).items()
            if name[0] != "_"
        }
        flags = [isinstance(value, nn.Parameter), value.requires_grad and value.is_leaf]
        # The order of dimensions in memory too: products of matrices depend on it, to the bit.
        order = sorted(range(value.dim()), key=value.stride, reverse=True)
        stored = self._stored(value.permute(order))
        return ["tensor", stored, order, *flags, str(value.device), gradient, further]

    def _view(self, value: Tensor) -> list[Any] | None:
        """The node of a tensor that looks into the memory of one that was met before."""
        storage = value.untyped_storage()
        place = (str(value.device), storage.data_ptr())
        base = self._bases.get(place)
        if base is not None and base is not value and base.dtype == value.dtype:
            number = self._numbers[id(base)]
            return ["view", number, list(value.shape), list(value.stride()), value.storage_offset()]
        whole = value.numel() * value.element_size() == storage.nbytes() and value.is_contiguous()
        if whole and value.numel() > 0:
            self._bases[place] = value
        return None

    def _stored(self, tensor: Tensor) -> int:
        if self.copies:
            tensor = tensor.detach().to("cpu", copy=True).contiguous()
        self.tensors.append(tensor)
        return len(self.tensors) - 1
