"""The state of a whole strategy: taken, and put into another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils.data_loader import GroupBalancedInfiniteDataLoader
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import AGEMPlugin, MIRPlugin
from torch import Tensor

from avalanche_hsf.checkpoints.capture import Capture
from avalanche_hsf.checkpoints.errors import CheckpointError, NotNowError
from avalanche_hsf.checkpoints.kinds import says_what_it_keeps
from avalanche_hsf.checkpoints.prototypes import Prototypes
from avalanche_hsf.checkpoints.restore import Restore
from avalanche_hsf.checkpoints.stream import Known
from avalanche_hsf.checkpoints.values import MISSING
from avalanche_hsf.checkpoints.watcher import Watcher, kept_plugins

State = tuple[dict[str, Any], list[Tensor]]
"""What JSON can hold of a state, and its tensors."""

_MINIBATCH = ("mbatch", "mb_output", "loss")


def state_of(
    strategy: Any,
    known: Known,
    *,
    within: bool = False,
    older: Sequence[Any] = (),
) -> State:
    """What `put_state` puts into another strategy.

    Args:
        strategy: Any Avalanche strategy.
        known: What need not be kept of its stream.
        within: Whether an experience is half trained, its samples half gone through.
        older: Iterators that were there when the experience began.

    Raises:
        NotNowError: An iterator of the experience is half gone through.
        CheckpointError: Some state cannot be kept.
    """
    before = {id(iterator) for iterator in older}
    plugins = kept_plugins(strategy)

    def made_anew(iterator: Any, path: str) -> bool:
        owner = plugins.get(path.partition(".")[0], strategy)
        # Avalanche's make theirs anew, some before plugins are asked; MIR does so when one ends.
        stock = type(owner).__module__.startswith("avalanche.") and type(owner) is not MIRPlugin
        if within or not (stock or id(iterator) not in before):
            name = path.rpartition(".")[2]
            raise NotNowError(
                f"{type(owner).__name__} goes through an iterator ({name}), and how far it is "
                "cannot be kept: give it a state_dict() and a load_state_dict(state)"
            )
        return True

    if within and any(isinstance(p, AGEMPlugin) and p.buffers for p in plugins.values()):
        raise NotNowError("AGEMPlugin is going through its memory, how far cannot be kept")
    try:
        capture = Capture(known.paths, made_anew=made_anew, root=strategy)
        content = {
            "generators": capture.node(_generator_states()),
            "strategy": capture.node(strategy),
            "plugins": {key: capture.node(plugin, key) for key, plugin in plugins.items()},
            "loggers": [capture.node(logger) for logger in _loggers(strategy)],
            # What ends an experience may look at its last minibatch.
            "minibatch": {n: capture.node(getattr(strategy, n, None), n) for n in _MINIBATCH},
            "device": str(strategy.device),
        }
    except CheckpointError:
        raise
    except Exception as error:  # of what a user's objects, or kinds that nobody thought of, do
        raise CheckpointError(
            f"the state cannot be read: {type(error).__name__}: {error}"
        ) from error
    return content, capture.tensors


def iterators_of(strategy: Any) -> list[Any]:
    """The iterators that a strategy and its plugins hold and that cannot be read."""
    capture = Capture(copies=False, root=strategy)
    for key, value in {"": strategy, **kept_plugins(strategy)}.items():
        capture.node(value, key)
    return capture.iterators


def put_state(strategy: Any, state: State, known: Known | None = None) -> bool:
    """Puts a state into a strategy of the same construction.

    Args:
        strategy: It changes.
        state: As `state_of` gives it.
        known: The stream; None: not known yet, and what would come from it stays as it is.

    Returns:
        Whether something stayed as it is for that reason.

    Raises:
        CheckpointError: Something is of another kind; the strategy may have changed.
    """
    content, tensors = state
    plugins = kept_plugins(strategy)
    waiting: list[Sequence[Any]] = []

    def not_known(path: Sequence[Any]) -> Any:
        waiting.append(path)
        return MISSING

    restore = Restore(
        tensors,
        root=strategy,
        packages=_packages(strategy),
        prototypes=Prototypes(strategy.model),
        of_stream=not_known if known is None else known.at,
        moved={content["device"]: strategy.device},
    )
    states = restore.put(content["generators"], _generator_states())
    restore.put(content["strategy"], strategy)
    for key, node in content["plugins"].items():
        restore.put(node, plugins[key], key)
    for node, logger in zip(content["loggers"], _loggers(strategy), strict=False):
        restore.put(node, logger)
    for name, node in content["minibatch"].items():
        setattr(strategy, name, restore.put(node, MISSING, name))
    watchers = [plugin for plugin in strategy.plugins if isinstance(plugin, Watcher)]
    strategy.plugins = [*watchers, *(plugins[key] for key in content["plugins"])]
    if strategy.optimizer is not None:  # as in StreamingLDA
        _move_states(strategy.optimizer)
    for plugin in strategy.plugins:
        if isinstance(plugin, AGEMPlugin) and plugin.buffers:
            _load_memory(plugin)
    _set_generators(states)
    return bool(waiting)


def _loggers(strategy: Any) -> list[Any]:
    """Those with a state; the others write, and remember nothing."""
    return [logger for logger in strategy.evaluator.loggers if says_what_it_keeps(logger)]


def _packages(strategy: Any) -> frozenset[str]:
    """Top-level packages of the classes that the strategy is made of."""
    parts = [strategy, *strategy.plugins, *strategy.model.modules(), *strategy.evaluator.metrics]
    return frozenset(type(part).__module__.partition(".")[0] for part in parts) - {"builtins"}


def _generator_states() -> dict[str, Any]:
    """States of the global generators, as Avalanche knows them."""
    return {n: g["save_state"]() for n, g in RNGManager.random_generators.items()}


def _set_generators(states: Mapping[str, Any]) -> None:
    for name, generator in RNGManager.random_generators.items():
        if name == "torch.cuda" and len(states[name]) != torch.cuda.device_count():
            continue  # of a machine with other devices
        generator["load_state"](states[name])


def _load_memory(plugin: AGEMPlugin) -> None:
    """Goes through A-GEM's memory from the start, as it does after each experience.

    Avalanche 0.6 makes loader and iterator where it fills the memory, and nowhere else.
    """
    size = plugin.sample_size // len(plugin.buffers)
    plugin.buffer_dataloader = GroupBalancedInfiniteDataLoader(plugin.buffers, batch_size=size)
    plugin.buffer_dliter = iter(plugin.buffer_dataloader)


def _move_states(optimizer: torch.optim.Optimizer) -> None:
    """Puts an optimizer's tensors beside their parameters, as its `load_state_dict` would."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            for name, value in state.items():
                counts = name == "step" and not (group.get("fused") or group.get("capturable"))
                if isinstance(value, Tensor) and not counts:
                    state[name] = value.to(parameter.device)
