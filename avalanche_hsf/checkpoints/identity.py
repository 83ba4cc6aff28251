"""What two strategies must have in common, so that one can take the other's state."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from avalanche.models import DynamicModule
from torch import nn

from avalanche_hsf import __version__
from avalanche_hsf._private.torch import own_parameters
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.kinds import address_of
from avalanche_hsf.checkpoints.watcher import kept_plugins
from avalanche_hsf.models import TaskWeights
from avalanche_hsf.models.tasks.per_task import PerTask

_FIXED = ("train_mb_size", "train_epochs", "eval_every")


def identity_of(strategy: Any) -> dict[str, Any]:
    """Versions, classes, shapes and settings, in what JSON can hold."""
    optimizer = strategy.optimizer
    return {
        "avalanche_hsf": __version__,
        "avalanche": version("avalanche-lib"),
        "torch": torch.__version__,
        "strategy": address_of(type(strategy)),
        "model": _shapes(strategy.model),
        "optimizer": address_of(type(optimizer)),
        **{
            f"optimizer's {name}": repr(v)
            for name, v in sorted(getattr(optimizer, "defaults", {}).items())
        },
        **{name: getattr(strategy, name, None) for name in _FIXED},
        "plugins": sorted(kept_plugins(strategy)),
        "metrics": [_name(metric) for metric in strategy.evaluator.metrics],
    }


def check_identity(there: Mapping[str, Any], strategy: Any) -> None:
    """Raises CheckpointError if a strategy is not as the one that was saved."""
    for what, here in identity_of(strategy).items():
        saved = there.get(what)
        if saved == here:
            continue
        if what in ("avalanche_hsf", "avalanche"):
            raise CheckpointError(f"it was written with {what} {saved}, here is {here}")
        if what == "torch":
            warnings.warn(
                f"the checkpoint was written with torch {saved}, here is {here}: training goes "
                "on, not to the bit",
                stacklevel=4,
            )
        else:
            raise CheckpointError(
                f"it is of another strategy: {_difference(what, saved, here)}; make it as it was, "
                "plugins and all, before resume"
            )


def _shapes(model: nn.Module) -> dict[str, Any]:
    """Class, shapes and settings of each module; of what grows with the stream, of its root."""
    shapes: dict[str, Any] = {}
    growing: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if name.startswith(growing):
            continue
        parameters = own_parameters(module).items()
        own: dict[str, Any] = {n: _shape(p) for n, p in parameters if p is not None}
        if name and isinstance(module, (DynamicModule, PerTask)):
            growing = (*growing, f"{name}.")
            own = {n: list(shape) for n, shape in getattr(module, "shapes", {}).items()}
        own |= {n: repr(getattr(module, n)) for n in _settings(module)}
        shapes[name] = [address_of(type(module)), own]
    return shapes


def _shape(parameter: nn.Parameter) -> list[Any]:
    """Type and shape; the shape of a lazy module is not known yet."""
    lazy = isinstance(parameter, nn.parameter.UninitializedParameter)
    return [str(parameter.dtype).removeprefix("torch."), *(() if lazy else parameter.shape)]


def _name(metric: Any) -> str:
    """As it calls itself, unless that is by its place in memory."""
    name = str(metric)
    return address_of(type(metric)) if " object at 0x" in name else name


def _settings(module: nn.Module) -> list[str]:
    """Names of attributes that never change: torch lists its modules' own, and ours have few."""
    if isinstance(module, TaskWeights):
        return [n for n, v in vars(module).items() if n[0] != "_" and type(v) in (int, float, str)]
    if type(module).__module__.startswith("torch.nn."):
        return [n for n in getattr(module, "__constants__", ()) if hasattr(module, n)]
    return []


def _difference(what: str, there: Any, here: Any) -> str:
    if what == "model" and isinstance(there, Mapping):
        names = [n for n in {**there, **here} if there.get(n) != here.get(n)]
        name = max(names, key=lambda n: n.count("."))  # the innermost says most
        there, here, what = there.get(name), here.get(name), f"model.{name}".rstrip(".")
        if there and here and there[0] == here[0]:
            names = [n for n in {**there[1], **here[1]} if there[1].get(n) != here[1].get(n)]
            what = f"{what}.{names[0]}"
            there, here = there[1].get(names[0]), here[1].get(names[0])
    elif isinstance(there, list) and isinstance(here, list):
        a, b = Counter(there), Counter(here)
        there, here = ", ".join((a - b).elements()), ", ".join((b - a).elements())
        there, here = there or "nothing else", here or "nothing else"
        return f"it has {there} among its {what}, this one {here}"
    return f"{what} is {there} there and {here} here"
