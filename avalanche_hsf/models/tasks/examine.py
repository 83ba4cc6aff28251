"""What a module of a user does besides mapping rows to rows, found out by running it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avalanche_hsf._private import attributes_of, buffers_of
from avalanche_hsf.models.tasks.nested import map_tensors, n_rows, tensors_of
from avalanche_hsf.models.tasks.slots import EmptySlot

_UNKNOWN, _GONE = object(), object()


def keeps_rows_apart(module: nn.Module, run: Callable[[Any], Any], x: Any) -> bool:
    """Whether the answer for a row depends on that row alone: not on others, nor on their number.

    And nothing is left behind in attributes, which could hold one task's only.

    The first row, and the last, is looked at again where all rows are copies of it, with the same
    random draws, and in a batch of two, unless the pass draws numbers.

    Args:
        module: What runs; it is afterwards as before.
        run: One pass through it.
        x: An input of n >= 2 rows.
    """
    n = n_rows(x)
    try:
        with undone(module):
            before, state = attributes(module), torch.get_rng_state()
            out = run(x)
            if changed(module, before):
                return False
            draws = not torch.equal(torch.get_rng_state(), state)
        for row in (0, n - 1):
            for size in [n] if draws else [n, 2]:
                with undone(module):
                    again = run(map_tensors(partial(_copies_of, row, size), x))
                if not _same_row(out, again, row, min(row, size - 1)):
                    return False
    except Exception:  # whatever such a batch leads a user's code to
        return False
    return True


def changed(module: nn.Module, before: dict[str, Any]) -> dict[str, Any]:
    """Former values, by dotted name, of buffers and attributes that are not what they were.

    Args:
        module: The module.
        before: `attributes(module)` at that time.
    """
    now = attributes(module)
    names = [
        name
        for name in {**before, **now}
        if not _same(before.get(name, _GONE), now.get(name, _GONE))
    ]
    return {name: before.get(name, _GONE) for name in names}


def depends_on(
    module: nn.Module, run: Callable[[Any], Any], x: Any, former: dict[str, Any]
) -> bool:
    """Whether the answer is another one with the former values of some attributes.

    In training mode or in evaluation mode, with the same random draws. A value that is only left
    behind for others to read, or kept to save time, changes no answer.
    """
    if not former:
        return False
    try:
        for training in (True, False):
            outs = []
            for values in ({}, former):
                with undone(module):
                    module.train(training)
                    _set(module, values)
                    outs.append(run(x))
            if not _same(_copied(tensors_of(outs[0])), _copied(tensors_of(outs[1]))):
                return True
    except Exception:  # whatever such a pass leads a user's code to
        return True
    return False


def _set(module: nn.Module, values: dict[str, Any]) -> None:
    for name, value in values.items():
        path, _, last = name.rpartition(".")
        layer = module.get_submodule(path)
        kept = buffers_of(layer) if last in buffers_of(layer) else vars(layer)
        if value is _GONE:
            kept.pop(last)
        else:
            kept[last] = copy.copy(value)


def attributes(module: nn.Module) -> dict[str, Any]:
    """Copies of a module's buffers and plain attributes of tensors or numbers, by dotted name."""
    found = {}
    for path, layer in module.named_modules():
        for name, value in {**buffers_of(layer), **attributes_of(layer)}.items():
            copied = _copied(value)
            if copied is not _UNKNOWN:
                found[f"{path}.{name}" if path else name] = copied
    return found


@contextmanager
def undone(module: nn.Module) -> Iterator[None]:
    """What runs in it leaves no trace: buffers, attributes and random generators are put back."""
    kept = [(kind, dict(kind)) for layer in module.modules() for kind in _state(layer)]
    contents = [(value, _content(value)) for _, before in kept for value in before.values()]
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            for value, content in contents:
                _put_back(value, content)
            for kind, before in kept:
                kind.clear()
                kind.update(before)


def _state(layer: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    return buffers_of(layer), vars(layer)


@torch.no_grad()
def _content(value: Any) -> Any:
    """What a value holds that could be changed in place; None if nothing is known of it."""
    if isinstance(value, EmptySlot):
        return None
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, (list, dict)):
        return copy.copy(value), [(part, _content(part)) for part in _parts(value)]
    return None


@torch.no_grad()
def _put_back(value: Any, content: Any) -> None:
    if content is None:
        return
    if isinstance(value, Tensor):
        if not torch.equal(value, content):
            value.copy_(content)
    elif isinstance(value, torch.Generator):
        value.set_state(content)
    elif isinstance(value, (list, dict)):
        whole, parts = content
        value.clear()
        value.extend(whole) if isinstance(value, list) else value.update(whole)
        for part, held in parts:
            _put_back(part, held)


def _parts(value: list[Any] | dict[Any, Any]) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value
    return [part for part in parts if isinstance(part, Tensor)]


def _copied(value: Any) -> Any:
    """A value of tensors, numbers, and containers of them, apart from the original."""
    if value is None or isinstance(value, (bool, int, float, complex)):
        return value
    if isinstance(value, Tensor) and not isinstance(value, EmptySlot):
        return value.detach().clone()
    if isinstance(value, (list, tuple)):
        parts = [_copied(part) for part in value]
        return _UNKNOWN if any(part is _UNKNOWN for part in parts) else parts
    if isinstance(value, dict):
        named = {key: _copied(part) for key, part in value.items()}
        return _UNKNOWN if any(part is _UNKNOWN for part in named.values()) else named
    return _UNKNOWN


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return bool(a == b)


def _copies_of(row: int, size: int, leaf: Any) -> Any:
    if isinstance(leaf, Tensor) and leaf.dim() > 0:
        return leaf[row : row + 1].expand(size, *leaf.shape[1:])
    return leaf


def _same_row(a: Any, b: Any, i: int, j: int) -> bool:
    """Whether row i of an output is row j of another, but for rounding."""
    return all(
        x.shape[1:] == y.shape[1:] and torch.allclose(x[i], y[j], rtol=1e-3, atol=1e-5)
        for x, y in zip(tensors_of(a), tensors_of(b), strict=True)
    )
