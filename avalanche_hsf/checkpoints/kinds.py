"""Which kind of object a value is, for what is kept of it."""

from __future__ import annotations

import functools
import inspect
import io
import logging
import re
import sys
import threading
import types
import typing
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from pathlib import PurePath
from typing import Any

import torch
from avalanche.benchmarks import CLExperience, CLScenario, CLStream
from avalanche.benchmarks.utils import data_loader
from avalanche.benchmarks.utils.transform_groups import identity
from avalanche.evaluation import Metric
from avalanche.logging import BaseLogger
from avalanche.training.plugins import AGEMPlugin, EvaluationPlugin
from avalanche.training.templates.base import BaseTemplate
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Sampler, default_collate
from tqdm import tqdm

from avalanche_hsf._private.avalanche import JOINT

SCALARS = (type(None), bool, int, str)
NAMED = (types.FunctionType, types.BuiltinFunctionType, type)
"""What is known by its name."""

ITERATORS = tuple({type(iter([])), type(iter(())), type(iter(range(1)))})
"""Those that can be copied, and so read."""

_LOADERS = tuple(
    value
    for value in vars(data_loader).values()
    if isinstance(value, type) and value.__module__ == data_loader.__name__
)
_OF_THE_PROCESS: tuple[Any, ...] = (
    *(types.MethodWrapperType, types.WrapperDescriptorType),
    *(type(typing.List), type(typing.List[int]), types.GenericAlias),  # noqa: UP006
    *(types.ModuleType, types.CodeType, weakref.ref, re.Pattern, PurePath, io.IOBase, tqdm),
    inspect.Signature,  # which metrics of torchmetrics keep
    *(
        logging.Logger,
        logging.Handler,
        threading.Thread,
        threading.Event,
        type(threading.Lock()),
        type(threading.RLock()),
    ),
    *(CLExperience, CLStream, CLScenario, BaseLogger, DataLoader, Sampler, *_LOADERS),
)
_LIBRARIES = (
    *("avalanche", "avalanche_hsf", "collections", "torchmetrics"),
    *("torch.nn", "torch.optim", "torch.utils.data"),
)
_HARMLESS: tuple[Any, ...] = (
    *(dict, list, set, int, float, str, tuple),
    *(torch.zeros, torch.ones, default_collate, identity),
)


def is_of_the_process(value: Any) -> bool:
    """Whether a value belongs to the process: the one that a new process has is taken instead.

    Loaders, streams and experiences are made anew for each experience; files, locks and loggers
    hold what cannot be saved.
    """
    return isinstance(value, _OF_THE_PROCESS)


def is_harmless(function: Any) -> bool:
    """Whether a function may be taken from a file that anybody may have written."""
    return any(function is harmless for harmless in _HARMLESS)


def is_of_datasets(value: Any) -> bool:
    """Whether an object is one of those that Avalanche makes datasets of."""
    return type(value).__module__.startswith("avalanche.benchmarks.utils")


def is_prepared(address: str) -> bool:
    """Whether such objects are set, or made, for each experience or call of train."""
    prepared = (
        *(
            f"{data_loader.__name__}:",
            "torch.utils.data.",
            "avalanche_hsf.training.loading.in_memory",
        ),
        "threading:Thread",
    )
    return address.startswith(prepared)


def is_method(value: Any) -> bool:
    """Whether a value is a method bound to an object, whose state it reaches."""
    owner = getattr(value, "__self__", None)
    is_bound = isinstance(value, (types.MethodType, types.BuiltinFunctionType))
    return is_bound and owner is not None and not isinstance(owner, (types.ModuleType, type))


def says_what_it_keeps(value: Any) -> bool:
    """Whether a value has `state_dict` and `load_state_dict` of its own.

    Torch's modules, optimizers and schedulers have more state than they say: gradients wanted or
    not, attributes, keys by parameter.
    """
    if isinstance(value, (nn.Module, Optimizer, LRScheduler)):
        return False
    methods = (getattr(type(value), name, None) for name in ("state_dict", "load_state_dict"))
    return all(map(callable, methods))


def has_a_position(value: Any) -> bool:
    """Whether a value is something that is gone through once, and cannot say how far it is."""
    return isinstance(value, Iterator) and not isinstance(value, ITERATORS)


def by_name(plugins: Iterable[Any]) -> dict[str, Any]:
    """Plugins by class and number."""
    counts: Counter[str] = Counter()
    named = {}
    for plugin in plugins:
        name = type(plugin).__name__
        counts[name] += 1
        named[name if counts[name] == 1 else f"{name} {counts[name]}"] = plugin
    return named


def address_of(value: Any) -> str:
    """Module and name of a class or function."""
    return f"{value.__module__}:{value.__qualname__}"


def attributes_of(value: Any, root: Any = None) -> dict[str, Any] | None:
    """The attributes of an object that are its state; None if it has no place for any.

    Not what its class lists as `transient`, which is made anew where it is needed. Not the hooks of
    torch's modules and optimizers: functions under numbers that each process counts anew.
    """
    slots = [
        f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") else name
        for kind in type(value).__mro__
        for name in _listed(vars(kind).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    ]
    if not hasattr(value, "__dict__") and not slots:
        return None
    own = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    own.update(getattr(value, "__dict__", {}))
    for name in getattr(type(value), "transient", ()):
        own.pop(name, None)
    if isinstance(value, (nn.Module, Optimizer)):
        own = {n: v for n, v in own.items() if not n.endswith(("_hooks", "_hooks_with_kwargs"))}
        own = {n: v for n, v in own.items() if not n.endswith("_hooks_always_called")}
    if isinstance(value, BaseTemplate):
        own = {name: v for name, v in own.items() if name not in (*_OF_A_PASS, JOINT)}
        if value is root:
            own.pop("plugins", None)
        elif "plugins" in own:  # by name: some change their places when a training begins
            own["plugins"] = by_name(value.plugins)
    if isinstance(value, EvaluationPlugin):
        own.pop("loggers")
    if isinstance(value, AGEMPlugin):
        own = {n: v for n, v in own.items() if n not in ("buffer_dataloader", "buffer_dliter")}
    return own


_OF_A_PASS = (
    *("experience", "adapted_dataset", "dataloader", "mbatch", "mb_output", "loss"),
    *("_eval_streams", "current_eval_stream", "_distributed_check"),
)
"""What a strategy sets anew for each experience or minibatch."""


def harmless(address: str) -> Any:
    """A function or class that may be called, whoever wrote its address; None if it is none."""
    for value in _HARMLESS:
        if address == address_of(value):
            return value
    module, _, name = address.partition(":")
    if module.startswith("avalanche.evaluation."):
        kind = found(address, frozenset())
        return kind if kind is not None and Metric in kind.__mro__ else None
    return vars(torch.nn.functional).get(name) if module == "torch.nn.functional" else None


def found(address: str, packages: Set[str]) -> Any:
    """A class from its address; None if it may not be taken.

    Nothing is imported. It comes from a library that strategies are made of, or from a
    package that the strategy at hand has classes of.

    Args:
        address: As `address_of` gives it.
        packages: Names of further packages.
    """
    module, _, name = address.partition(":")
    known = module.partition(".")[0] in packages or any(
        module == library or module.startswith(f"{library}.") for library in _LIBRARIES
    )
    if not known or module not in sys.modules or "<" in name:
        return None
    try:
        value = functools.reduce(getattr, name.split("."), sys.modules[module])
    except AttributeError:
        return None
    is_itself = isinstance(value, type) and address_of(value) == address
    return value if is_itself else None


def _listed(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)
