"""Strategies with what all learners have in common, on the models that they are compared on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from avalanche.models import as_multitask
from torch import nn
from torch.optim import Optimizer

from avalanche_hsf.experiments.learners.base import Learner, Setting, regularizers
from avalanche_hsf.models import MLPAutoencoder
from avalanche_hsf.models.baselines.task_aware import TaskAwareMLPAutoencoder
from avalanche_hsf.training import CosineRestartPlugin, InMemoryLoadingPlugin
from avalanche_hsf.training.optimizers import make_optimizer

Make = Callable[..., Any]
"""`make(setting, model, **arguments)`: a strategy, whatever the model."""
Grid = tuple[Mapping[str, Any], ...]


def grid(name: str, *values: float) -> Grid:
    """The configurations that set one argument."""
    return tuple({name: value} for value in values)


def optimizer_for(
    parameters: Iterable[nn.Parameter], name: str, lr: float, weight_decay: float = 1e-2
) -> Optimizer:
    """The optimizer that a search names."""
    options = {"name": name, "lr": lr, "betas": (0.9, 0.95), "weight_decay": weight_decay}
    # The same numbers as the other implementations, faster; SOAP as in our own presets.
    extra: dict[str, Any] = {"AdamW": {"fused": True}, "SOAP": {"precondition_frequency": 2}}
    return make_optimizer(parameters, {**options, **extra[name]})


def make_strategy(
    strategy: Callable[..., Any],
    setting: Setting,
    model: nn.Module,
    *,
    lr: float,
    optimizer: str = "AdamW",
    make_optimizer: Callable[..., Optimizer] | None = None,
    plugins: Iterable[Any] | None = None,
    first: Iterable[Any] = (),
    last: Iterable[Any] = (),
    regularized: Mapping[str, float] | None = None,
    **arguments: Any,
) -> Any:
    """A strategy with what all have in common; `first` and `last` stand around the plugins."""
    # A list of its own: Avalanche's strategies append to the one they are given.
    all_plugins = [*first, *(plugins or ()), CosineRestartPlugin(), *last]
    of_inputs = {"noise": setting.problem.noise} if regularized is None else regularized
    all_plugins += [*regularizers(**of_inputs), InMemoryLoadingPlugin()]
    if make_optimizer is None:
        make_optimizer = partial(optimizer_for, weight_decay=setting.problem.weight_decay)
    return strategy(
        model=model,
        optimizer=make_optimizer(model.parameters(), optimizer, lr),
        plugins=all_plugins,
        **{"eval_mb_size": None, **setting.arguments, **arguments},
    )


def autoencoder(setting: Setting) -> nn.Module:
    """The MLP autoencoder that knows no tasks."""
    return MLPAutoencoder(setting.input_dim, latent_dim=setting.problem.latent_dim)


def task_aware_autoencoder(setting: Setting) -> nn.Module:
    """The MLP autoencoder that is told the task."""
    return TaskAwareMLPAutoencoder(
        setting.input_dim, setting.n_tasks, latent_dim=setting.problem.latent_dim
    )


def network_with_heads(setting: Setting) -> nn.Module:
    """The problem's network, with a head for each task that is told where there are classes.

    Raises:
        ValueError: It classifies, and no layer of its own is called `classifier`.
    """
    network = setting.make_network()
    if not setting.problem.has_heads:
        return network
    if not hasattr(network, "classifier"):
        raise ValueError(
            f"{type(network).__name__} has no layer called classifier: net-* learners put a head "
            "for each task in its place; give the network's last nn.Linear that name"
        )
    return as_multitask(network, "classifier")


def _learner(
    make: Make, model: Callable[[Setting], nn.Module], about: str, grid: Grid, **fields: Any
) -> Learner:
    def build(setting: Setting, **arguments: Any) -> Any:
        return make(setting, model(setting), **arguments)

    return Learner(build, about, grid, **fields)


def on_autoencoders(
    name: str, make: Make, about: str, grid: Grid = ({},), *, jointly: bool = False
) -> dict[str, Learner]:
    """`mlp-<name>` on an autoencoder that knows no tasks, `mlp-task-<name>` on one that does."""
    fields: dict[str, Any] = {"jointly": jointly, "autoencodes": True, "group": "peers"}
    about = f"{about}, on an MLP autoencoder"
    told = f"{about} that is told the task"
    return {
        f"mlp-{name}": _learner(make, autoencoder, about, grid, **fields),
        f"mlp-task-{name}": _learner(make, task_aware_autoencoder, told, grid, **fields),
    }


def on_networks(
    name: str, make: Make, about: str, grid: Grid = ({},), *, jointly: bool = False
) -> dict[str, Learner]:
    """`net-<name>` on the problem's network, with a head for each task."""
    fields: dict[str, Any] = {"jointly": jointly, "regularized": False, "group": "networks"}
    about = f"{about}, on the stream's network with a head for each task"
    return {f"net-{name}": _learner(make, network_with_heads, about, grid, **fields)}


def on_both(name: str, make: Make, about: str, *, jointly: bool = False) -> dict[str, Learner]:
    """The three learners of `on_autoencoders` and `on_networks`."""
    autoencoders = on_autoencoders(name, make, about, jointly=jointly)
    return autoencoders | on_networks(name, make, about, jointly=jointly)
