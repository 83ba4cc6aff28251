"""What a comparison has to know of a learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from avalanche.core import SupervisedPlugin
from torch import nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.training import DecayToStartPlugin, InputNoisePlugin

MEMORY = 50
"""Raw samples a task that the learners of autoencoders with a memory of samples may keep."""

RATES: Mapping[str, tuple[float, ...]] = {
    "AdamW": (5e-4, 2e-3, 8e-3),
    "SOAP": (2e-2, 5.6e-2, 8e-2),
}
"""Learning rates that are searched, by optimizer."""

REGULARIZED: tuple[Mapping[str, float], ...] = (
    {"noise": 0.1},
    {"noise": 0.1, "first_decay": 1.0, "later_decay": 3.0},
)
"""What is tried besides, by every learner, on streams with few samples: see `regularizers`."""


@dataclass(frozen=True)
class MainNetwork:
    """What learners train on a stream that is not for autoencoders.

    Attributes:
        make: The network of one task; its last layer is named `classifier`.
        criterion: The loss.
        mb_size: Samples a minibatch.
        epochs: Epochs an experience, unless said otherwise.
        classifies: Whether the error is the share misclassified; if not, it is the MSE.
        drop_last: Whether an epoch leaves out what does not fill a minibatch.
        memory: Raw samples in all that learners with a memory of samples may keep.
        optimizers: Those that are searched; SOAP's eigenbases of matrices as wide as a CNN's last
            would take longer than all the rest.
    """

    make: Callable[[], nn.Module]
    criterion: Callable[[], nn.Module]
    mb_size: int
    epochs: int
    classifies: bool
    drop_last: bool = False
    memory: int = 200
    optimizers: tuple[str, ...] = ("AdamW",)


@dataclass(frozen=True)
class Setting:
    """What a learner is built for.

    Attributes:
        input_dim: Features of a sample.
        n_tasks: Tasks of the whole stream.
        latent_dim: Width of the bottleneck.
        n_samples: Training samples of a task, of the largest if they differ.
        steps: Epochs an experience; with full batches, as for autoencoders, these are steps.
        seed: For learners with generators of their own. The peers draw from the global ones, so
            seed these before `Learner.build`.
        main: What is trained, if it is no autoencoder.
    """

    input_dim: int
    n_tasks: int
    latent_dim: int
    n_samples: int
    steps: int
    seed: int
    main: MainNetwork | None = None

    @property
    def memory(self) -> int:
        """Raw samples in all that a learner with a memory of samples may keep."""
        return MEMORY * self.n_tasks if self.main is None else self.main.memory

    def __post_init__(self) -> None:
        for name in ("input_dim", "n_tasks", "latent_dim", "n_samples", "steps"):
            check_int(name, getattr(self, name), at_least=1)
        check_int("seed", self.seed, at_least=0)


@dataclass(frozen=True)
class Learner:
    """One learner of the comparison.

    Of autoencoders every learner takes `Setting.steps` steps a task, each on a full batch: all
    samples of the current task (of all tasks so far for Cumulative, of all for JointTraining),
    plus the whole memory for Replay; GDumb on its memory alone. Of main networks, that many
    epochs in minibatches.

    Attributes:
        build: `build(setting, **configuration, **common)` makes the Avalanche strategy;
            common are arguments every strategy knows, such as plugins, evaluator, eval_mb_size
            and device. A list of plugins that is given is not changed.
        grid: Configurations of the strategy's own strength, to be searched besides the optimizer.
        optimizers: Names of the optimizers that are searched, with `RATES`, as far as the main
            network's are among them; none for a learner that runs as its name says.
        jointly: To be trained once, on the whole stream.
        regularized: Whether `REGULARIZED` is tried on streams with few samples.
        of_networks: Whether it trains `Setting.main` instead of an autoencoder.
    """

    build: Callable[..., Any]
    grid: tuple[Mapping[str, Any], ...] = ({},)
    optimizers: tuple[str, ...] = ("AdamW", "SOAP")
    jointly: bool = False
    regularized: bool = True
    of_networks: bool = False


def regularizers(
    noise: float = 0.0, first_decay: float = 0.0, later_decay: float = 0.0
) -> list[SupervisedPlugin]:
    """The plugins of one entry in `REGULARIZED`; none for zeros."""
    plugins: list[SupervisedPlugin] = []
    if first_decay or later_decay:
        plugins.append(DecayToStartPlugin(first_decay, later_decay))
    if noise:
        plugins.append(InputNoisePlugin(noise))
    return plugins
