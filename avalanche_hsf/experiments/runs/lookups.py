"""What some code looks up where it runs."""

from __future__ import annotations

import dis
import os
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any

from avalanche_hsf.experiments.runs.sources import is_installed, is_ours


def named_by(code: CodeType, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the globals that some code names.

    And those of the attributes, of its names, of modules of a user that it names or imports; its
    environment variables, and the command line, if it names where they are.
    """
    names, attributes = set(_loaded(code)), set(_names(code))
    found = {name: scope[name] for name in sorted(names) if name in scope}
    modules = {n: v for n, v in found.items() if _is_module_of_a_user(v)}
    modules |= {
        n: sys.modules[n] for n in imports_of(code) if _is_module_of_a_user(sys.modules.get(n))
    }
    while modules:
        name, module = modules.popitem()
        for attribute in sorted(attributes & vars(module).keys()):
            path, value = f"{name}.{attribute}", vars(module)[attribute]
            if path not in found and path.count(".") < 10:
                found[path] = value
                if _is_module_of_a_user(value):
                    modules[path] = value
    if attributes & {"environ", "getenv"}:
        texts = sorted({c for c in _constants(code) if isinstance(c, str)})
        found["os.environ"] = {text: os.environ.get(text) for text in texts}
    if "argv" in attributes:
        found["sys.argv"] = sys.argv
    return found


def _is_module_of_a_user(value: Any) -> bool:
    return isinstance(value, ModuleType) and not is_installed(value) and not is_ours(value)


def _within(code: CodeType) -> Iterator[CodeType]:
    """Some code, and all that is defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _within(constant)


def _names(code: CodeType) -> Iterator[str]:
    for part in _within(code):
        yield from part.co_names


def _constants(code: CodeType) -> Iterator[Any]:
    for part in _within(code):
        yield from part.co_consts


def _loaded(code: CodeType) -> Iterator[str]:
    """The names that are looked up as globals, not as attributes."""
    for part in _within(code):
        for instruction in dis.get_instructions(part):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                yield str(instruction.argval)


def imports_of(code: CodeType) -> list[str]:
    """The modules that some code imports where it runs."""
    found = {
        str(instruction.argval)
        for part in _within(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname == "IMPORT_NAME"
    }
    return sorted(found)
