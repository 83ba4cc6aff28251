"""What every hypernetwork has in common, and the two families: learned embeddings, held weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from avalanche.models import DynamicModule
from torch import Tensor, nn

from avalanche_hsf.checks import check_int, shown
from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.models.hypernetworks.embedding import TaskEmbedding
from avalanche_hsf.models.tasks.per_task import check_has, task_labels_of


class TaskWeights(DynamicModule, ABC):
    """Writes the named tensors of a main network for tasks that arrive one by one.

    It knows only their names and `shapes`. As an Avalanche `DynamicModule` it grows by each new
    task of the experience in training; in evaluation mode it never changes.
    """

    shapes: dict[str, tuple[int, ...]]

    @property
    @abstractmethod
    def tasks(self) -> list[int]:
        """The labels of all tasks known, in order of arrival."""

    @abstractmethod
    def add_task(self, label: int) -> None:
        """Makes a task trainable: draws what belongs to it alone, once."""

    @abstractmethod
    def copy_task(self, source: int, target: int) -> None:
        """Makes the weights of a task those of another, as a start for its training.

        Raises:
            ValueError: One of the tasks is not known.
        """

    @abstractmethod
    def forward(self, tasks: list[int], prefix: str = "") -> dict[str, Tensor]:
        """Writes a `k x *shape` tensor for k tasks and each name that begins with the prefix.

        Raises:
            ValueError: In training mode, a task is not known. In evaluation mode such a task
                gets weights that depend on the class.
        """

    def commit(self) -> None:
        """Ends the training of the current tasks; most kinds have nothing to do then."""

    def trains(self, label: int) -> bool:
        """Whether the weights of a task can still move."""
        return True

    @property
    def holds_old_tasks(self) -> bool:
        """Whether the weights of finished tasks stay put by construction."""
        return False

    def adaptation(self, experience: Any) -> None:
        """Called by Avalanche before each experience, in training and in evaluation.

        Raises:
            ValueError: The experience has no task labels.
        """
        super().adaptation(experience)
        labels = task_labels_of(experience)
        if self.training:
            self.begin([check_int("a task label", int(label), at_least=0) for label in labels])

    def begin(self, labels: list[int]) -> None:
        """Prepares for the training of some tasks, new ones and known ones."""
        for label in labels:
            self.add_task(label)

    @property
    def form(self) -> dict[str, Any]:
        """Options that what is stored depends on, where shapes do not tell; a subclass's own."""
        return {}

    def get_extra_state(self) -> dict[str, Any]:
        """What a state dict has besides tensors; a subclass adds its own."""
        return {"kind": type(self).__name__, "shapes": dict(self.shapes), "form": self.form}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Nothing to do; see `check_state`."""

    def check_state(self, state: Mapping[str, Any], prefix: str = "") -> None:
        """Raises ValueError if a state dict is of another kind, or of another network's tensors."""
        stored = state.get(f"{prefix}_extra_state")
        if not isinstance(stored, Mapping) or "kind" not in stored:
            return  # none is there, which torch says
        kind, shapes = stored["kind"], {n: tuple(s) for n, s in stored["shapes"].items()}
        if kind != type(self).__name__:
            raise ValueError(
                f"the state is that of a model with {kind}, this one has {type(self).__name__}: "
                "make the model with the hypernetwork= that was saved"
            )
        if shapes != self.shapes:
            other = sorted(
                name
                for name in {*shapes, *self.shapes}
                if shapes.get(name) != self.shapes.get(name)
            )
            raise ValueError(
                f"the state is that of another network: {', '.join(other[:5])} differ in shape or "
                "are not in both; make the model of the network that was saved"
            )
        form = stored.get("form", self.form)
        for option, value in self.form.items():
            if form[option] != value:
                raise ValueError(
                    f"the state is that of a {kind} with other {option}: make the model with the "
                    "hypernetwork_options= that were saved"
                )

    def check_known(self, *labels: int) -> None:
        """Raises ValueError if a task is not known."""
        for label in labels:
            check_has(label, self.tasks, "weights")


class EmbeddedWeights(TaskWeights):
    """Writes weights from a learned task embedding, with a network that all tasks share.

    What a task owns is its embedding alone; training a new one moves the weights of the old ones
    unless something holds them. A task that was never trained is evaluated with the zero
    embedding, see `TaskEmbedding`. Arguments as in `HyperNetwork`.
    """

    def __init__(
        self, initial: Mapping[str, Tensor], embedding_dim: int, std: float, seed: int | None
    ) -> None:
        super().__init__()
        self.shapes = _shapes_of(initial)
        self.task_embedding = TaskEmbedding(embedding_dim, std=std, seed=seed)

    @property
    def tasks(self) -> list[int]:
        return self.task_embedding.tasks

    def add_task(self, label: int) -> None:
        self.task_embedding.add_task(label)

    @torch.no_grad()
    def copy_task(self, source: int, target: int) -> None:
        self.check_known(source, target)
        embeddings = self.task_embedding.embeddings
        embeddings[target].copy_(embeddings[source])

    def forward(self, tasks: list[int], prefix: str = "") -> dict[str, Tensor]:
        return self.write(self.task_embedding(tasks), prefix)

    @abstractmethod
    def write(self, e: Tensor, prefix: str = "") -> dict[str, Tensor]:
        """The weights for k embeddings, a `k x embedding_dim` tensor; else as `forward`."""

    def _by_name(self, networks: nn.ModuleList, x: Tensor, prefix: str) -> dict[str, Tensor]:
        """What one network for each name makes of x, a `k x *` tensor."""
        return {
            name: network(x).view(-1, *shape)
            for (name, shape), network in zip(self.shapes.items(), networks, strict=True)
            if name.startswith(prefix)
        }


def _shapes_of(initial: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    if not isinstance(initial, Mapping) or not initial:
        raise TypeError(f"initial must be a dictionary of tensors by name, got {shown(initial)}")
    for name, value in initial.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise TypeError(f"initial must hold tensors by name, got {name!r}: {shown(value)}")
    return {name: tuple(value.shape) for name, value in initial.items()}


def follow(module: nn.Module, initial: Mapping[str, Tensor]) -> None:
    """Moves a module to where some tensors are, and to their type.

    Raises:
        TypeError: They are of several types.
    """
    types = {tensor.dtype: name for name, tensor in initial.items()}
    if len(types) > 1:
        named = ", ".join(f"{name} is {dtype}" for dtype, name in types.items())
        raise TypeError(
            f"{type(module).__name__} writes tensors of one type, but {named}: convert the module "
            'to one, leave some out of written=, or use "isolated" or "delta"'
        )
    module.to(next(iter(initial.values())))


WAY_OUT = (
    "the other tasks are as they were. Give it the weights of another (copy_task) and train it "
    "again, perhaps with a smaller learning rate"
)


def diverged(label: int) -> DivergedError:
    """Why a task is not taken in."""
    return DivergedError(
        f"task {label} has NaN or infinite weights, its training diverged; {WAY_OUT}"
    )


class HeldWeights(TaskWeights):
    """Holds finished tasks by construction: `begin` ends the training of all other tasks.

    Tasks that no training pass has used stay in training: Avalanche's `JointTraining` prepares a
    model for one experience after the other before it trains on them all.
    """

    def __init__(self, initial: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.shapes = _shapes_of(initial)
        self.labels: list[int] = []
        self._in_use = False  # by a training pass since the last `begin`

    @property
    def tasks(self) -> list[int]:
        return list(self.labels)

    @property
    def holds_old_tasks(self) -> bool:
        return True

    def add_task(self, label: int) -> None:
        self.begin([label])

    def forward(self, tasks: list[int], prefix: str = "") -> dict[str, Tensor]:
        self._in_use = self._in_use or (self.training and torch.is_grad_enabled())
        if self.training:
            self.check_known(*tasks)
        return self._write(tasks, prefix)

    @abstractmethod
    def _write(self, tasks: list[int], prefix: str) -> dict[str, Tensor]:
        """`forward`, of tasks that may be unknown."""

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"labels": self.labels, "in_use": self._in_use}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.labels, self._in_use = list(state["labels"]), state["in_use"]
