"""What a module keeps from pass to pass: looked at, compared, and put back."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avalanche_hsf._private.torch import attributes_of, buffers_of, own_parameters
from avalanche_hsf.generators import generators_kept
from avalanche_hsf.models.tasks.slots import EmptySlot

GONE = object()
"""Stands for the value of an attribute that there was not."""
_DEPTH = 6


def state_of(module: nn.Module) -> dict[str, Any]:
    """Copies of what is not written: buffers, parameters and plain attributes, by dotted name."""
    found = {}
    for path, layer in module.named_modules():
        values = {**buffers_of(layer), **own_parameters(layer), **attributes_of(layer)}
        for name, value in values.items():
            if not isinstance(value, EmptySlot):
                found[f"{path}.{name}" if path else name] = _copied(value, _DEPTH)
    return found


def changes(module: nn.Module, before: dict[str, Any]) -> dict[str, Any]:
    """Former values, by dotted name, of what is not as it was; `GONE` where nothing was.

    Args:
        module: The module.
        before: `state_of(module)` at that time.
    """
    now = state_of(module)
    return {
        name: before.get(name, GONE)
        for name in {**before, **now}
        if not same(before.get(name, GONE), now.get(name, GONE), _DEPTH)
    }


def put(module: nn.Module, values: dict[str, Any]) -> None:
    """Makes buffers, parameters and attributes what they were."""
    for name, value in values.items():
        path, _, last = name.rpartition(".")
        layer = module.get_submodule(path)
        kinds = (buffers_of(layer), own_parameters(layer))
        kept = next((kind for kind in kinds if last in kind), vars(layer))
        if value is GONE:
            kept.pop(last)
        else:
            kept[last] = _copied(value, _DEPTH)


@contextmanager
def undone(module: nn.Module) -> Iterator[None]:
    """What runs in it leaves no trace: what a module keeps, and random generators, are put back."""
    before = [
        (layer, layer.training, [(kind, dict(kind), _copied(dict(kind), _DEPTH)) for kind in kinds])
        for layer in module.modules()
        for kinds in [(buffers_of(layer), own_parameters(layer), attributes_of(layer))]
    ]
    values = [value for *_, kinds in before for _, held, _ in kinds for value in held.values()]
    generators = [(v, v.get_state()) for v in values if isinstance(v, torch.Generator)]
    with generators_kept():
        try:
            yield
        finally:
            for generator, state in generators:
                generator.set_state(state)
            for layer, training, kinds in before:
                layer.training = training
                for name in attributes_of(layer).keys() - kinds[2][1].keys():
                    del vars(layer)[name]
                for kept, (_, held, copies) in zip(_kept(layer), kinds, strict=True):
                    kept.update({n: _as_it_was(value, copies[n]) for n, value in held.items()})


def _kept(layer: nn.Module) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    return buffers_of(layer), own_parameters(layer), vars(layer)


@torch.no_grad()
def _as_it_was(value: Any, copied: Any) -> Any:
    """The same object where it can be, since others may hold it too."""
    if isinstance(value, Tensor) and not isinstance(value, EmptySlot):
        if not same(value.detach(), copied, 1):
            value.copy_(copied)
        return value
    return value if same(value, copied, _DEPTH) else copied


def _copied(value: Any, depth: int) -> Any:
    """A value apart from the original, as far as it holds data; code and slots are the same."""
    if isinstance(value, EmptySlot) or depth == 0:
        return value
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple, set):
        return type(value)(_copied(part, depth - 1) for part in value)
    if isinstance(value, deque):
        return deque((_copied(part, depth - 1) for part in value), value.maxlen)
    if isinstance(value, dict):
        copied = copy.copy(value)
        for key, part in value.items():
            copied[key] = _copied(part, depth - 1)
        return copied
    if not _is_plain(value):
        return value
    try:
        copied = copy.copy(value)
        vars(copied).update({k: _copied(v, depth - 1) for k, v in vars(value).items()})
    except Exception:  # what cannot be copied, such as an open file
        return value
    return copied


def same(a: Any, b: Any, depth: int = _DEPTH) -> bool:
    """Whether two values hold the same data."""
    if a is b or depth == 0:
        return True
    if type(a) is not type(b) and not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return False
    if isinstance(a, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype or a.layout is not b.layout:
            return False
        if a.layout is not torch.strided:
            a, b = a.to_dense(), b.to_dense()
        return torch.equal(a, b) or torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple, deque)):
        return len(a) == len(b) and all(same(x, y, depth - 1) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], depth - 1) for key in a)
    if _is_plain(a):
        return same(vars(a), vars(b), depth)
    try:
        return bool(a == b)
    except Exception:  # whatever a user's class answers
        return False


def _is_plain(value: Any) -> bool:
    """Whether it is an object that keeps data in attributes."""
    code = (type, FunctionType, MethodType, ModuleType, torch.Generator)
    return hasattr(value, "__dict__") and not isinstance(value, code)
