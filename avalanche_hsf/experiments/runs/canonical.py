"""A digest of any value, that two values share if they are the same for a run."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks import CLScenario
from avalanche.benchmarks.utils import DataAttribute, TransformGroups
from torch import Tensor, nn

from avalanche_hsf.experiments.runs.sources import (
    installed_version,
    is_installed,
    is_ours,
    text_of,
)


def canonical(value: Any) -> str:
    """Text that is the same in any process, and another one as soon as a run may differ.

    Data enter by what they hold; objects by their class and state. Functions and classes of a
    user enter by the text of their modules, what they close over, their defaults, and the globals
    that they name; those of this package by their own text and defaults; those of an installed
    package by name and version. Files that a user's code reads are not seen.
    """
    return _Reader().read(value)


_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_HOOKS = re.compile(r"_\w*hooks\w*")
"""Attributes of modules whose keys are numbers of a counter of the process."""


class _Reader:
    """Reads each object once, so that references back to it, and shared ones, cost nothing."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}  # the object too: its id stays its own
        self._depth = 0
        self._texts: dict[str, str] = {}

    def read(self, value: Any) -> str:
        if isinstance(value, _PLAIN):
            return repr(value)
        if id(value) not in self._known:
            self._known[id(value)] = value, f"<what is being read at depth {self._depth}>"
            self._depth += 1
            self._known[id(value)] = value, _shortened(self._of(value))
            self._depth -= 1
        return self._known[id(value)][1]

    def _of(self, value: Any) -> str:
        if isinstance(value, Mapping):
            items = sorted(f"{self.read(k)}: {self.read(v)}" for k, v in value.items())
            return f"{{{', '.join(items)}}} {self.read(getattr(value, 'default_factory', None))}"
        if isinstance(value, (set, frozenset)):
            return f"{{{', '.join(sorted(map(self.read, value)))}}}"
        if isinstance(value, (list, tuple, deque)):
            return f"[{', '.join(map(self.read, value))}]"
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, (np.ndarray, np.generic)):
            data = value.tolist() if value.dtype.hasobject else value.tobytes()
            return self._named(value, [str(value.dtype), value.shape, data])
        if isinstance(value, ModuleType):
            return f"module {value.__name__} {self._around(value)}"
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, MethodType):
            return self._named(value, [value.__func__, value.__self__])
        if isinstance(value, partial):
            return self._named(value, [value.func, value.args, value.keywords])
        if isinstance(value, CLScenario):
            streams = sorted(value.streams.items())
            return self._named(value, [(n, [e.dataset for e in s]) for n, s in streams])
        if isinstance(value, DataAttribute):  # without its caches
            return self._named(value, [value.name, value.data])
        if isinstance(value, TransformGroups):  # some make a group when it is first asked for
            groups = value.transform_groups
            names = sorted({"train", "eval", *groups})
            return self._named(value, [(name, groups[name]) for name in names])
        if isinstance(value, nn.Module):
            return self._named(value, _without_counters(vars(value)))
        if isinstance(getattr(value, "__wrapped__", None), FunctionType):  # such as by lru_cache
            return self._named(value, value.__wrapped__)
        if is_dataclass(value):
            return self._named(value, {f.name: getattr(value, f.name) for f in fields(value)})
        return self._named(value, _state(value))

    def _named(self, value: Any, state: Any) -> str:
        return f"{self.read(type(value))}({self.read(state)})"

    def _tensor(self, value: Tensor) -> str:
        facts = [str(value.dtype), tuple(value.shape), value.requires_grad]
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            return self._named(value, [facts, repr(value)])
        flat = value.detach().cpu().contiguous().reshape(-1)
        return self._named(value, [facts, flat.view(torch.uint8).numpy().tobytes()])

    def _function(self, function: FunctionType) -> str:
        module = sys.modules.get(function.__module__ or "")
        cells = [_content(cell) for cell in function.__closure__ or ()]
        parts = [_name(function), self._arguments(function), self.read(cells)]
        parts += [self._around(module), self.read(vars(function))]
        if not is_installed(module):
            parts.append(self._code(function.__code__))
            if not is_ours(module):
                parts.append(self.read(_globals_of(function.__code__, function.__globals__)))
        return ", ".join(parts)

    def _class(self, cls: type) -> str:
        module = sys.modules.get(cls.__module__)
        parts = [_name(cls), self._arguments(cls), self._around(module)]
        if not is_installed(module) and not is_ours(module):
            parts += [self.read(list(cls.__bases__)), self.read(dict(_members(cls)))]
        return ", ".join(parts)

    def _arguments(self, thing: Any) -> str:
        """The names and defaults of the arguments of a function or class."""
        try:
            arguments = inspect.signature(thing).parameters.values()
        except (TypeError, ValueError):
            return ""  # of some builtins
        return self.read([(a.name, a.default) for a in arguments if a.default is not a.empty])

    def _around(self, module: ModuleType | None) -> str:
        """What is known of the text of a module, read once."""
        if module is None or is_ours(module):
            return ""
        if module.__name__ not in self._texts:
            known = installed_version if is_installed(module) else text_of
            self._texts[module.__name__] = known(module)
        return self._texts[module.__name__]

    def _code(self, code: CodeType) -> str:
        constants = [self._code(c) if isinstance(c, CodeType) else c for c in code.co_consts]
        return self.read([code.co_code, constants, code.co_names, code.co_varnames])


def _shortened(text: str) -> str:
    return text if len(text) <= 64 else hashlib.sha256(text.encode()).hexdigest()


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return "an empty cell"


def _state(value: Any) -> Any:
    """What an object would be rebuilt from, else its attributes, else how it is shown."""
    try:
        rebuilt = value.__reduce_ex__(4)
    except Exception:  # whatever an object answers that cannot be copied
        shown = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
        return getattr(value, "__dict__", shown)
    if isinstance(rebuilt, str):
        return rebuilt
    make, arguments, *state = rebuilt
    return [
        make,
        arguments,
        *(list(part) if isinstance(part, Iterator) else part for part in state),
    ]


def _without_counters(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value.values()) if _HOOKS.fullmatch(name) and isinstance(value, dict) else value
        for name, value in attributes.items()
    }


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """The methods and attributes that a class itself defines."""
    for name, value in vars(cls).items():
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        elif isinstance(value, property):
            value = [value.fget, value.fset, value.fdel]
        if isinstance(value, FunctionType) or not re.fullmatch(r"__\w+__|_abc_impl", name):
            yield name, value


def _globals_of(code: CodeType, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the globals that some code names, and of the attributes of a user's modules."""
    names = list(_names(code))
    found = {name: scope[name] for name in names if name in scope}
    for name, module in list(found.items()):
        if isinstance(module, ModuleType) and not is_installed(module) and not is_ours(module):
            inside = {n: vars(module)[n] for n in names if n in vars(module)}
            found |= {f"{name}.{attribute}": value for attribute, value in inside.items()}
    return found


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
