"""A digest of any value, that two values share if they are the same for a run."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from avalanche.benchmarks import CLScenario
from avalanche.benchmarks.utils import DataAttribute, TransformGroups
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.utils.hooks import RemovableHandle

from avalanche_hsf.experiments.runs.lookups import imports_of, named_by
from avalanche_hsf.experiments.runs.sources import (
    installed_version,
    is_in_library,
    is_in_package,
    is_installed,
    is_ours,
    text_of,
    text_of_name,
)


def canonical(value: Any) -> str:
    """Text that is the same in any process, and another one as soon as a run may differ.

    Data enter by what they hold; objects by their class and state. Functions and classes of a
    user enter by their code and the text of their modules, what they close over, their defaults,
    and the globals that they name; those of an installed package by name and version. What
    cannot be read to its end is another one each time, so that no run is taken for it.

    Not seen are files that a user's code reads, what it looks up by a name that it computes, and
    changes of an installed package at run time.
    """
    try:
        return _Reader().read(value)
    except RecursionError:
        return uuid4().hex


_PLAIN = {type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented)}
_SHAPELESS = (nn.UninitializedParameter, nn.UninitializedBuffer)
_HOOKS = re.compile(r"_\w*hooks\w*")
"""Attributes of modules whose keys are numbers of a counter of the process."""
_OF_CLASSES = {
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__"),
    *("__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl"),
    *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__"),
}
"""Attributes of classes that Python sets."""


class _Reader:
    """Reads each object once, so that references back to it, and shared ones, cost nothing."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}  # the object too: its id stays its own
        self._depth = 0
        self._texts: dict[str, str] = {}

    def read(self, value: Any) -> str:
        if type(value) in _PLAIN:
            return repr(value)
        if id(value) not in self._known:
            self._known[id(value)] = value, f"<what is being read at depth {self._depth}>"
            self._depth += 1
            self._known[id(value)] = value, _shortened(self._of(value))
            self._depth -= 1
        return self._known[id(value)][1]

    def _of(self, value: Any) -> str:
        kind = type(value)
        if kind in (list, tuple, deque, set, frozenset):
            parts = map(self.read, value)
            unordered = kind in (set, frozenset)
            return f"{kind.__name__} [{', '.join(sorted(parts) if unordered else parts)}]"
        if kind in (dict, OrderedDict, MappingProxyType):
            items = [f"{self.read(k)}: {self.read(v)}" for k, v in value.items()]
            return f"{{{', '.join(items)}}}"  # in their order, in which layers may be made
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, (np.ndarray, np.generic)):
            data = value.tolist() if value.dtype.hasobject else _digest(value.tobytes())
            return self._named(value, [str(value.dtype), value.shape, data])
        if isinstance(value, ModuleType):
            return f"module {value.__name__} {self._around(value)}"
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, property):
            return self._named(value, [value.fget, value.fset, value.fdel])
        if isinstance(value, (staticmethod, classmethod)):
            return self._named(value, value.__func__)
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
        if isinstance(value, RemovableHandle):  # a number of a counter of the process
            return self._named(value, None)
        if isinstance(value, ScriptModule):
            return self._named(value, [value.code, value.state_dict()])
        if isinstance(value, nn.Module):
            return self._named(value, _without_counters(vars(value)))
        wrapped = getattr(value, "__dict__", {}).get("__wrapped__")  # such as by lru_cache
        return self._named(value, [wrapped, _state(value)])

    def _named(self, value: Any, state: Any) -> str:
        return f"{self.read(type(value))}({self.read(state)})"

    def _tensor(self, value: Tensor) -> str:
        facts: list[Any] = [str(value.dtype), value.requires_grad]
        if isinstance(value, _SHAPELESS):
            return self._named(value, facts)
        facts.append(tuple(value.shape))
        if value.is_meta:
            return self._named(value, facts)
        value = value.detach()
        if value.is_sparse:
            value = value.coalesce()
            return self._named(value, [facts, value.indices(), value.values()])
        if value.layout is not torch.strided or value.is_quantized:
            value = value.to_dense() if not value.is_quantized else value.dequantize()
        flat = value.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        return self._named(value, [facts, _digest(flat.view(torch.uint8).numpy())])

    def _function(self, function: FunctionType) -> str:
        module = sys.modules.get(function.__module__ or "")
        cells = [_content(cell) for cell in function.__closure__ or ()]
        defaults = [function.__defaults__, function.__kwdefaults__]
        parts = [_name(function), self.read([defaults, cells, vars(function)])]
        parts.append(self._around(module))
        file = Path(function.__code__.co_filename)  # a function may say that it is of elsewhere
        if not is_in_library(file):
            parts.append(self._code(function.__code__))
            if not is_in_package(file):
                parts.append(self.read(named_by(function.__code__, function.__globals__)))
                parts += map(text_of_name, imports_of(function.__code__))
        return ", ".join(parts)

    def _class(self, cls: type) -> str:
        module = sys.modules.get(cls.__module__)
        parts = [_name(cls), self._arguments(cls), self._around(module)]
        known = is_installed(module) or is_ours(module)
        if not (known and _found_as(cls, module)):
            bases = [b for b in (type(cls), *cls.__bases__) if b not in (type, object)]
            members = {n: v for n, v in vars(cls).items() if n not in _OF_CLASSES}
            parts += [self.read(bases), self.read(members)]
        return ", ".join(parts)

    def _arguments(self, cls: type) -> str:
        """The names and defaults of the arguments of a class."""
        try:
            arguments = inspect.signature(cls).parameters.values()
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
        arguments = [code.co_flags, code.co_argcount, code.co_posonlyargcount]
        names = [code.co_names, code.co_varnames, code.co_kwonlyargcount]
        return self.read([code.co_code, constants, arguments, names])


def _shortened(text: str) -> str:
    return text if len(text) <= 64 else _digest(text.encode())


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _found_as(cls: type, module: ModuleType | None) -> bool:
    """Whether a class is what its module has by its name, not one made at run time."""
    found: Any = module
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is cls


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
    return [list(part) if isinstance(part, Iterator) else part for part in rebuilt]


def _without_counters(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value.values()) if _HOOKS.fullmatch(name) and isinstance(value, dict) else value
        for name, value in attributes.items()
    }
