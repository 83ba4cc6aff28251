"""A digest of everything that the numbers of a run depend on, so that no stale run is taken."""

from __future__ import annotations

import hashlib
import inspect
import re
import site
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from avalanche.benchmarks import CLScenario
from torch import Tensor, nn

from avalanche_hsf import training
from avalanche_hsf.experiments.learners import Learner, Problem
from avalanche_hsf.models import HYPERNETWORKS, HypernetSDEFlow
from avalanche_hsf.training import get_preset
from avalanche_hsf.training.optimizers import OPTIMIZERS

N_SAMPLES = 64
"""Samples of each experience of a user's benchmark that are looked at."""


def digest_of(problem: Problem, learner: Learner, versions: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits that change with any of the inputs of a run.

    They are: the problem (functions of this package by their source and arguments, a user's by
    the text of their module and of those that it imports from the same folder, a user's benchmark
    by its samples), the learner with its grid, the presets it is made of with the defaults of
    every class that they name, and the versions of what computes.
    """
    parts = [problem, learner, dict(versions), *map(_preset_inputs, learner.presets)]
    return hashlib.sha256("\n".join(map(canonical, parts)).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """Text that two values share if they are the same for a run, in any process."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return repr(value)
    if isinstance(value, Mapping):
        return (
            f"{{{', '.join(sorted(f'{canonical(k)}: {canonical(v)}' for k, v in value.items()))}}}"
        )
    if isinstance(value, (set, frozenset)):
        return f"{{{', '.join(sorted(map(canonical, value)))}}}"
    if isinstance(value, (list, tuple, deque)):
        return f"[{', '.join(map(canonical, value))}]"
    if isinstance(value, (Tensor, np.ndarray)):
        array = np.ascontiguousarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        return f"{array.dtype}{array.shape}{hashlib.sha256(array.tobytes()).hexdigest()}"
    if isinstance(value, partial):
        return f"partial({canonical([value.func, value.args, value.keywords])})"
    if isinstance(value, CLScenario):
        return canonical(list(_samples(value)))
    if isinstance(value, (FunctionType, type)):
        return _code(value)
    if is_dataclass(value):
        named = {field.name: getattr(value, field.name) for field in fields(value)}
        return f"{_code(type(value))}({canonical(named)})"
    if isinstance(value, nn.Module):
        return f"{_code(type(value))}({value!r}, {canonical(value.state_dict())})"
    if hasattr(value, "__func__"):  # a method
        return canonical([value.__func__, value.__self__])
    if hasattr(value, "__dict__"):
        return f"{_code(type(value))}({canonical(vars(value))})"
    return re.sub(r" at 0x[0-9a-f]+", "", f"{type(value).__qualname__} {value!r}")


def _preset_inputs(name: str) -> Any:
    """A preset, and the defaults of all that it makes."""
    preset = get_preset(name)
    makers = [
        HypernetSDEFlow,
        HYPERNETWORKS[preset.hypernetwork["hypernetwork"]],
        OPTIMIZERS[preset.optimizer["name"]],
        *(getattr(training, plugin) for plugin in preset.all_protections),
    ]
    return [preset, *makers]


def _samples(benchmark: CLScenario) -> Iterator[Any]:
    for name, stream in sorted(benchmark.streams.items()):
        for experience in stream:
            dataset = experience.dataset
            every = max(1, len(dataset) // N_SAMPLES)
            yield name, len(dataset), [list(dataset[i]) for i in range(0, len(dataset), every)]


def _code(thing: Any) -> str:
    """The name, the arguments and what is known of the text of a function or class."""
    module = sys.modules.get(thing.__module__)
    name = f"{thing.__module__}.{thing.__qualname__}"
    parts = [name, _signature(thing)]
    if _is_of_a_user(module):
        parts.append(_text_around(module))
    elif isinstance(thing, FunctionType) and not _is_installed(module):
        parts.append(_source(thing))
    if isinstance(thing, FunctionType) and thing.__closure__:
        parts += [canonical(cell.cell_contents) for cell in thing.__closure__]
    return ", ".join(parts)


def _signature(thing: Any) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(thing)))
    except (TypeError, ValueError):
        return ""  # of some builtins


def _source(function: FunctionType) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt that keeps no text
        return f"{function.__code__.co_code.hex()} {canonical(_plain(function.__code__.co_consts))}"


def _plain(constants: tuple[Any, ...]) -> list[Any]:
    return [c.co_code.hex() if hasattr(c, "co_code") else c for c in constants]


def _file_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return None if file is None else Path(file).resolve()


@cache
def _installed_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    return tuple(Path(folder).resolve() for folder in folders)


def _is_installed(module: ModuleType | None) -> bool:
    """Whether it belongs to Python or an installed package, whose version says what it is."""
    file = _file_of(module)
    return file is not None and any(file.is_relative_to(f) for f in _installed_folders())


def _is_of_a_user(module: ModuleType | None) -> bool:
    ours = Path(__file__).resolve().parents[2]
    file = _file_of(module)
    return file is not None and not file.is_relative_to(ours) and not _is_installed(module)


def _text_around(module: ModuleType | None) -> str:
    """A digest of the text of a module and of those that it imports from its own folder."""
    todo, texts = [module], {}
    while todo:
        one = todo.pop()
        file = _file_of(one)
        if file is None or str(file) in texts:
            continue
        texts[str(file)] = file.read_bytes()
        for value in vars(one).values():
            name = (
                value.__name__
                if isinstance(value, ModuleType)
                else getattr(value, "__module__", "")
            )
            other = sys.modules.get(name if isinstance(name, str) else "")
            beside = _file_of(other)
            if _is_of_a_user(other) and beside is not None and beside.is_relative_to(file.parent):
                todo.append(other)
    # By content alone: the same module may lie elsewhere on a worker.
    return hashlib.sha256(b"".join(sorted(texts.values()))).hexdigest()
