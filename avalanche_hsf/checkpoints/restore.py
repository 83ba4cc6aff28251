"""Plain data put back into objects of the same construction."""

from __future__ import annotations

import types
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.templates.base import BaseTemplate
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.factories import lambda_of, made_by
from avalanche_hsf.checkpoints.kinds import (
    NAMED,
    SCALARS,
    address_of,
    attributes_of,
    found,
    harmless,
    is_of_the_process,
    is_prepared,
)
from avalanche_hsf.checkpoints.prototypes import Prototypes
from avalanche_hsf.checkpoints.values import MISSING, RestoreValues, at, name_of


class Restore(RestoreValues):
    """Reads the nodes that `Capture` writes, and puts them into what is there.

    Objects stay the same objects, parameters included, so that whoever holds them sees the state.
    Where there is none yet, as in a memory that was empty, one is made without running any code
    of its class. Modules are copied from one of the same class.

    Args:
        tensors: Those of the capture.
        packages: Further packages that classes may come from, see `found`.
        prototypes: Modules that others may be copied from.
        root: The strategy whose plugins are kept apart.
        of_stream: Gives the object of the stream at a path; `MISSING` as long as it is not known,
            and what is there stays.
        moved: Device that tensors of a device are put on, by its name; others stay on the CPU.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        *,
        prototypes: Prototypes | None = None,
        root: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(tensors, **options)
        self._root = root
        self._prototypes = prototypes
        self._kinds = prototypes.kinds if prototypes else {}

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
            raise CheckpointError(f"{at(path)}: unknown kind {kind!r}")
        return read(*parts, current, path)

    def read_tensor(
        self,
        number: int,
        index: int,
        order: list[int],
        is_parameter: bool,
        wants_gradient: bool,
        device: str,
        gradient: Any,
        further: dict[str, Any],
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
        before = vars(current) if isinstance(current, Tensor) else {}
        for name, node in further.items():
            vars(value)[name] = self.put(node, before.get(name, MISSING), f"{path}.{name}")
        return value

    def read_view(
        self,
        number: int,
        base: int,
        shape: list[int],
        stride: list[int],
        offset: int,
        current: Any,
        path: str,
    ) -> Tensor:
        self._made[number] = self._made[base].detach().as_strided(shape, stride, offset)
        view: Tensor = self._made[number]
        return view

    def read_like(
        self, number: int, address: str, shape: list[int], current: Any, path: str
    ) -> Any:
        if not isinstance(current, Tensor) or address_of(type(current)) != address:
            raise self._other(address, current, path)
        if list(current.shape) != shape:
            raise CheckpointError(
                f"{at(path)} has shape {tuple(shape)} in the checkpoint, {tuple(current.shape)} "
                "here: it is of another model"
            )
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
        same = type(current) is deque and current.maxlen == length
        value: deque[Any] = current if same else deque(maxlen=length)
        self._made[number] = value
        value.clear()
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
        value = current if is_there else self._new(self._class(address, current, path), {})
        self._made[number] = value
        before = dict(value)
        # Of this process, not of the file.
        fresh = getattr(value, "default_factory", None) or lambda_of(factory)
        read = {}
        for key_node, node in pairs:
            key = self.put(key_node, MISSING, path)
            at = f"{path}[{key!r}]" if isinstance(key, str) else path
            there = before[key] if key in before else made_by(fresh, node)
            read[key] = self.put(node, there, at)
        value.clear()
        value.update(read)
        if isinstance(value, defaultdict):
            # Those of Avalanche are often another one in each method.
            unnamed = isinstance(factory, list) and factory[0] == "named" and "<" in factory[1]
            kept = fresh if unnamed and fresh else self.put(factory, fresh or MISSING, path)
            value.default_factory = kept
        for name, node in further.items():
            vars(value)[name] = self.put(node, vars(value).get(name, MISSING), path)
        return value

    def read_kept(self, number: int, address: str, current: Any, path: str) -> Any:
        is_there = current is not MISSING and current is not None
        if address_of(type(current)) != address and (is_there or not is_prepared(address)):
            raise self._other(address, current, path)
        self._made[number] = current if is_there else None
        return self._made[number]

    def read_method(self, number: int, owner: Any, name: str, current: Any, path: str) -> Any:
        if getattr(current, "__name__", None) != name or not hasattr(current, "__self__"):
            raise self._other(f":{name}", current, path)
        held = self.put(owner, current.__self__, path)
        self._made[number] = current if held is current.__self__ else getattr(held, name)
        return self._made[number]

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
        if isinstance(current, AvalancheDataset):
            current = MISSING  # it is what a memory held, and may be of the stream
        if current is not MISSING and current is not None:
            if address_of(type(current)) != address:
                raise self._other(address, current, path)
            value = current
        else:
            value = self._new(self._class(address, MISSING, path), attributes)
        self._made[number] = value
        before = attributes_of(value, self._root) or {}
        moved = self._moved
        if isinstance(value, (AvalancheDataset, TensorDataset)):
            self._moved = {}  # samples are moved in minibatches
        for name, node in attributes.items():
            if name not in before and callable(getattr(type(value), name, None)):
                raise CheckpointError(f"{at(path)}.{name} would stand in for a method")
            _set(value, name, self.put(node, before.get(name, MISSING), f"{path}.{name}"))
        self._moved = moved
        for name in before.keys() - attributes.keys():
            if not is_of_the_process(before[name]) and not isinstance(before[name], NAMED):
                vars(value).pop(name, None)
        return value

    def read_stream(self, path_there: Sequence[Any], current: Any, path: str) -> Any:
        value = self._of_stream(path_there)
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
        kind = harmless(address) or found(address, self._packages) or self._kinds.get(address)
        if not isinstance(kind, type):
            raise self._other(address, current, path)
        return kind

    def _new(self, kind: type, attributes: Mapping[str, Any]) -> Any:
        if issubclass(kind, nn.Module):
            if self._prototypes and (copied := self._prototypes.copied(kind, attributes)):
                return copied
            module = kind.__new__(kind)
            nn.Module.__init__(module)
            return module
        return kind.__new__(kind)

    def _other(self, address: str, current: Any, path: str) -> CheckpointError:
        here = "nothing" if current is MISSING or current is None else name_of(type(current))
        name = address.partition(":")[2]
        return CheckpointError(
            f"{at(path)} is of class {name} in the checkpoint, here it is "
            f"{here}: make the strategy as the one that was saved"
        )


def _set(value: Any, name: str, attribute: Any) -> None:
    """Past any property and `__setattr__`: no code of the class runs."""
    if isinstance(value, BaseTemplate) and name == "plugins":  # see `attributes_of`
        attribute = list(attribute.values())
    if isinstance(getattr(type(value), name, None), types.MemberDescriptorType):  # a slot
        object.__setattr__(value, name, attribute)
    else:
        vars(value)[name] = attribute
