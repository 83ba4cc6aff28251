"""What a comparison has to know of a problem and of a learner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avalanche.benchmarks import CLScenario
from avalanche.core import SupervisedPlugin
from torch import nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.evaluation import ErrorMatrix
from avalanche_hsf.training import DecayToStartPlugin, InputNoisePlugin

RATES: Mapping[str, tuple[float, ...]] = {"AdamW": (5e-4, 2e-3, 8e-3), "SOAP": (2e-2, 5.6e-2, 8e-2)}
"""Learning rates that are searched unless a problem names others, by optimizer."""

REGULARIZED: tuple[Mapping[str, float], ...] = (
    {"noise": 0.1},
    {"noise": 0.1, "first_decay": 1.0, "later_decay": 3.0},
)
"""What every learner also tries on streams with few samples: see `regularizers`."""


@dataclass(frozen=True)
class Problem:
    """A stream, and what learners train on it.

    Attributes:
        name: In tables and results files.
        make: The benchmark for a seed; some do not depend on it.
        make_network: The network of one task. A classifier's last layer is named `classifier`.
        criterion: The loss.
        matrix: What measures R: the error of the tables.
        measure: The name of that error, such as "MSE".
        about: One line for `avalanche-hsf list`.
        mb_size: Samples per minibatch; None: all there are.
        epochs: Default epochs per experience.
        unit: What an epoch is called in tables: "epoch", or "step" where it is one minibatch.
        shuffle: Whether an epoch draws the samples in random order.
        drop_last: Whether an epoch leaves out what does not fill a minibatch.
        classifies: Whether targets are classes, so that each task may have a head of its own.
        latent_dim: Latent width of the autoencoders that learners build; 0: none can, since the
            target is not the input.
        memory: Raw samples in all that learners with a memory of samples may keep.
        memory_per_task: Further ones for each task of the stream.
        rates: Learning rates that are searched, by optimizer.
        memory_bytes: Bytes in all, networks included, that replay of any kind may keep instead: as
            many as `ids-hsf-compact` keeps in the end; 0: the samples count.
        more_memory_bytes: As many as `ids-hsf` keeps.
        bytes_per_input: Bytes that a number of a raw sample takes where it is stored, 1 for images
            of 8 bits, whatever it is in a minibatch.
        optimizers: Those that are searched. SOAP's eigenbases of matrices as wide as a CNN's last
            would take longer than all the rest.
        tuned_on: Name of the problem on which configurations are chosen; "": this one.
        noise: Standard deviation of the noise on training inputs, for all learners alike.
        weight_decay: Of the optimizers, likewise.
        few_samples: Whether learners overfit, so that `REGULARIZED` is worth a try.
        told: Whether learners are told the task. Where they are not, all task labels are the same,
            and a classifier has one head for all classes.
        data: Names of the data sets that it reads from files, see `check_files`.
    """

    name: str
    make: Callable[[int], CLScenario]
    make_network: Callable[[Setting], nn.Module]
    criterion: Callable[[], nn.Module]
    matrix: Callable[[], ErrorMatrix]
    measure: str = "MSE"
    about: str = ""
    mb_size: int | None = 32
    epochs: int = 10
    unit: str = "epoch"
    shuffle: bool = True
    drop_last: bool = False
    classifies: bool = False
    latent_dim: int = 0
    memory: int = 200
    memory_per_task: int = 0
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: RATES)
    memory_bytes: int = 0
    more_memory_bytes: int = 0
    bytes_per_input: int = 4
    optimizers: tuple[str, ...] = ("AdamW",)
    tuned_on: str = ""
    noise: float = 0.0
    weight_decay: float = 1e-2
    few_samples: bool = False
    told: bool = True
    data: tuple[str, ...] = ()

    @property
    def has_heads(self) -> bool:
        """Whether each task has a head of its own."""
        return self.classifies and self.told


@dataclass(frozen=True)
class Setting:
    """What a learner is built for.

    Attributes:
        problem: What is learned.
        input_shape: Of a sample.
        output_dim: Classes of the whole stream, or numbers in a target.
        n_tasks: Experiences of the whole stream.
        n_samples: Training samples of a task, of the largest if they differ.
        epochs: Epochs per experience.
        seed: For learners with their own generators. The others draw from the global ones, to be
            seeded before `Learner.build`.
    """

    problem: Problem
    input_shape: tuple[int, ...]
    output_dim: int
    n_tasks: int
    n_samples: int
    epochs: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("output_dim", "n_tasks", "n_samples", "epochs"):
            check_int(name, getattr(self, name), at_least=1)
        check_int("seed", self.seed, at_least=0)

    @property
    def input_dim(self) -> int:
        """Features of a sample."""
        return math.prod(self.input_shape)

    @property
    def mb_size(self) -> int:
        """Samples per training minibatch; for full batches at least as many as there can be.

        Avalanche divides them evenly among the tasks in the data.
        """
        return self.problem.mb_size or self.n_samples * self.n_tasks

    @property
    def joint_epochs(self) -> int:
        """Epochs over the data of all tasks at once that take as many steps as one task each."""
        return self.epochs * (1 if self.problem.mb_size else self.n_tasks)

    @property
    def memory(self) -> int:
        """Raw samples in all that a learner with a memory of samples may keep."""
        return self.problem.memory + self.problem.memory_per_task * self.n_tasks

    def memory_beside(self, *networks: nn.Module, per_sample: int = 0, more: bool = False) -> int:
        """Raw samples that a learner may keep beside its networks.

        So many that it keeps `Problem.memory_bytes` in all; `memory` where there is no such limit.

        Args:
            networks: All that it keeps to the end, copies of former ones too.
            per_sample: Bytes that it keeps of each sample besides the sample itself.
            more: `Problem.more_memory_bytes` instead.

        Raises:
            ValueError: The networks take all the bytes.
        """
        limit = self.problem.more_memory_bytes if more else self.problem.memory_bytes
        if not limit:
            return self.memory
        kept = sum(t.nbytes for network in networks for t in network.state_dict().values())
        n = (limit - kept) // (self.problem.bytes_per_input * self.input_dim + per_sample)
        if n < 1:
            raise ValueError(
                f"memory_bytes of {self.problem.name} is {limit:,}, of which the networks take "
                f"{kept:,}, so that no sample fits: raise memory_bytes, or make the network smaller"
            )
        return n

    def make_network(self) -> nn.Module:
        """The network of one task."""
        return self.problem.make_network(self)

    @property
    def arguments(self) -> dict[str, Any]:
        """Criterion, minibatches and epochs, as arguments of any Avalanche strategy."""
        return {
            "criterion": self.problem.criterion(),
            "train_mb_size": self.mb_size,
            "train_epochs": self.epochs,
        }


@dataclass(frozen=True)
class Learner:
    """One learner of the comparison.

    Every learner takes `Setting.epochs` epochs per task. Where these are full batches, a step is
    all samples of the current task (of all tasks so far for Cumulative, of all for JointTraining),
    plus the whole memory for Replay; GDumb trains on its memory alone.

    Attributes:
        build: `build(setting, **configuration, **common)` makes the Avalanche strategy. common are
            arguments that every strategy knows: plugins (the list is not changed), evaluator and
            eval_mb_size.
        about: One line for `avalanche-hsf list`.
        grid: Configurations of the strategy's strength, searched besides the optimizer.
        optimizers: Names of the optimizers that are searched, with the problem's rates, if its are
            among them; none for a learner that runs as its name says.
        jointly: Whether it is trained once, on the whole stream.
        regularized: Whether `REGULARIZED` is tried on streams with few samples.
        autoencodes: Whether it builds an autoencoder instead of the problem's network.
        group: The name that stands for it and others in `compare --strategies`.
        ours: Whether it is this package's, for the figures.
        presets: Names of the presets that it is made of.
    """

    build: Callable[..., Any]
    about: str = ""
    grid: tuple[Mapping[str, Any], ...] = ({},)
    optimizers: tuple[str, ...] = ("AdamW", "SOAP")
    jointly: bool = False
    regularized: bool = True
    autoencodes: bool = False
    group: str = ""
    ours: bool = False
    presets: tuple[str, ...] = ()


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
