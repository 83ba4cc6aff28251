"""The state of a whole strategy, and what must be equal before another can take it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import DynamicModule
from avalanche.training.determinism.rng_manager import RNGManager
from torch import Tensor, nn

from avalanche_hsf import __version__
from avalanche_hsf._private import own_parameters
from avalanche_hsf.checkpoints.capture import Capture
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.kinds import address_of, says_what_it_keeps
from avalanche_hsf.checkpoints.restore import MISSING, Restore
from avalanche_hsf.checkpoints.stream import at_path, paths_in
from avalanche_hsf.models.tasks.per_task import PerTask

_FIXED = ("train_mb_size", "train_epochs", "eval_every")


@dataclass(frozen=True)
class Position:
    """Where in a stream a strategy is.

    Attributes:
        experience: Experiences that were trained to their end.
        epoch: Epochs of the next one that were trained; None: it has not begun.
    """

    experience: int
    epoch: int | None


class Watcher(SupervisedPlugin):
    """The base of plugins that belong to checkpoints, not to what is kept in them.

    Attributes:
        experiences: Those of the stream that were met, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.experiences: list[Any] = []


def state_of(
    strategy: Any, position: Position, experiences: Sequence[Any], prints: Sequence[str]
) -> tuple[dict[str, Any], list[Tensor]]:
    """What `put_state` puts into another strategy.

    Args:
        strategy: Any Avalanche strategy.
        position: Where it is.
        experiences: Of its stream, as far as they are known.
        prints: Their fingerprints.
    """
    capture = Capture(paths_in(experiences))
    loggers = [logger for logger in strategy.evaluator.loggers if says_what_it_keeps(logger)]
    content = {
        "position": [position.experience, position.epoch],
        "stream": list(prints),
        "made with": _versions(),
        "is": _identity(strategy),
        "generators": capture.node(_generator_states()),
        "strategy": capture.node(strategy),
        "plugins": {key: capture.node(p, key) for key, p in plugins_by_key(strategy).items()},
        "loggers": [capture.node(logger) for logger in loggers],
        "device": str(strategy.device),
    }
    return content, capture.tensors


def put_state(
    strategy: Any,
    content: Mapping[str, Any],
    tensors: Sequence[Tensor],
    experiences: Sequence[Any] | None = None,
) -> Callable[[Sequence[Any]], None] | None:
    """Puts a state into a strategy of the same construction.

    Args:
        strategy: It changes.
        content: As `state_of` gives it.
        tensors: As `state_of` gives them.
        experiences: Of the stream; None: not known yet.

    Returns:
        What is to be called with the experiences once they are known; None: nothing.

    Raises:
        CheckpointError: Something is of another kind; the strategy may have changed.
    """
    stream = _Stream(experiences)
    plugins, loggers = plugins_by_key(strategy), strategy.evaluator.loggers
    restore = Restore(
        tensors,
        packages=_packages(strategy),
        modules=list(strategy.model.modules()),
        of_stream=stream,
        moved={content["device"]: strategy.device},
    )
    states = restore.put(content["generators"], _generator_states())
    restore.put(content["strategy"], strategy)
    late = []
    for key, node in content["plugins"].items():
        stream.waits = False
        restore.put(node, plugins[key], key)
        if stream.waits:
            late.append(key)
    saying = [logger for logger in loggers if says_what_it_keeps(logger)]
    for node, logger in zip(content["loggers"], saying, strict=False):
        restore.put(node, logger)
    watchers = [plugin for plugin in strategy.plugins if isinstance(plugin, Watcher)]
    strategy.plugins = [*watchers, *(plugins[key] for key in content["plugins"])]
    _move_states(strategy.optimizer)
    _set_generators(states)

    def put_late(known: Sequence[Any]) -> None:
        stream.experiences = known
        for key in late:
            restore.put(content["plugins"][key], plugins[key], key)

    return put_late if late else None


def check_fits(strategy: Any, content: Mapping[str, Any]) -> None:
    """Raises CheckpointError if a state is of other versions, or of another strategy."""
    there, here = content["made with"], _versions()
    for name in ("avalanche_hsf", "avalanche"):
        if there[name] != here[name]:
            raise CheckpointError(f"it was written with {name} {there[name]}, here is {here[name]}")
    if there["torch"] != here["torch"]:
        warnings.warn(
            f"the checkpoint was written with torch {there['torch']}, here is {here['torch']}: "
            "training goes on, not to the bit",
            stacklevel=3,
        )
    there, here = content["is"], _identity(strategy)
    for what, value in here.items():
        if there.get(what) != value:
            raise CheckpointError(_difference(what, there.get(what), value))


def plugins_by_key(strategy: Any) -> dict[str, Any]:
    """The plugins by class and number, but for those of checkpoints."""
    counts: Counter[str] = Counter()
    keyed = {}
    for plugin in strategy.plugins:
        if isinstance(plugin, Watcher):
            continue
        name = type(plugin).__name__
        counts[name] += 1
        keyed[name if counts[name] == 1 else f"{name} {counts[name]}"] = plugin
    return keyed


class _Stream:
    """Objects of the stream by path, and whether one was asked for before it was known."""

    def __init__(self, experiences: Sequence[Any] | None) -> None:
        self.experiences = experiences
        self.waits = False

    def __call__(self, path: Sequence[Any]) -> Any:
        if self.experiences is None:
            self.waits = True
            return MISSING
        try:
            return at_path(self.experiences, path)
        except (KeyError, IndexError, AttributeError):
            raise CheckpointError(
                "the checkpoint was made on another stream: its experience "
                f"{path[0]} has no {path[1:]}"
            ) from None


def _versions() -> dict[str, str]:
    return {
        "avalanche_hsf": __version__,
        "avalanche": version("avalanche-lib"),
        "torch": torch.__version__,
    }


def _identity(strategy: Any) -> dict[str, Any]:
    """What two strategies must have in common, in what JSON can hold."""
    evaluator = strategy.evaluator
    return {
        "strategy": address_of(type(strategy)),
        "model": _shapes(strategy.model),
        "optimizer": address_of(type(strategy.optimizer)),
        **{
            f"optimizer's {name}": repr(v)
            for name, v in sorted(strategy.optimizer.defaults.items())
        },
        **{name: getattr(strategy, name, None) for name in _FIXED},
        "plugins": sorted(plugins_by_key(strategy)),
        "metrics": [str(metric) for metric in evaluator.metrics],
    }


def _shapes(model: nn.Module) -> dict[str, Any]:
    """Class and shapes of each module; of those that grow with the stream, the class alone."""
    shapes: dict[str, Any] = {}
    growing: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if name.startswith(growing):
            continue
        own = {n: list(p.shape) for n, p in own_parameters(module).items() if p is not None}
        if name and isinstance(module, (DynamicModule, PerTask)):
            growing = (*growing, f"{name}.")
            own = {n: list(shape) for n, shape in getattr(module, "shapes", {}).items()}
        shapes[name] = [address_of(type(module)), own]
    return shapes


def _difference(what: str, there: Any, here: Any) -> str:
    if what == "model" and isinstance(there, Mapping):
        names = [n for n in chain(there, here) if there.get(n) != here.get(n)]
        name = max(set(names), key=lambda n: (n.count("."), n))  # the innermost says most
        there, here, what = there.get(name), here.get(name), f"model.{name}".rstrip(".")
    elif what in ("plugins", "metrics"):
        a, b = Counter(there), Counter(here)
        there, here = sorted((a - b).elements()), sorted((b - a).elements())
        there, here = there or "no other", here or "no other"
    return f"it is of another strategy: {what} is {there} there and {here} here"


def _packages(strategy: Any) -> frozenset[str]:
    """Top-level packages of the classes that the strategy is made of."""
    parts = [strategy, *strategy.plugins, *strategy.model.modules(), *strategy.evaluator.metrics]
    return frozenset(type(part).__module__.partition(".")[0] for part in parts) - {"builtins"}


def _generator_states() -> dict[str, Any]:
    """States of the global generators, as Avalanche knows them."""
    return {n: g["save_state"]() for n, g in RNGManager.random_generators.items()}


def _set_generators(states: Mapping[str, Any]) -> None:
    for name, generator in RNGManager.random_generators.items():
        if name.startswith("torch.cuda") and len(states[name]) != torch.cuda.device_count():
            continue
        generator["load_state"](states[name])


def _move_states(optimizer: torch.optim.Optimizer) -> None:
    """Puts an optimizer's tensors beside their parameters, as its `load_state_dict` would."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for name, value in state.items():
                counts = name == "step" and not (group.get("fused") or group.get("capturable"))
                if isinstance(value, Tensor) and not counts:
                    state[name] = value.to(parameter.device)
