"""What every hypernetwork has in common, and how a plain module runs on what it writes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from avalanche.models import DynamicModule
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_leaves, tree_map

from avalanche_hsf.checks import check_int
from avalanche_hsf.models.task_groups import TaskGroups


class TaskWeights(DynamicModule):
    """Writes the named tensors of a main network for tasks that arrive one by one.

    It knows nothing of the main network but the names and shapes of what it writes. As an
    Avalanche `DynamicModule` it grows by each new task of the experience that is trained; in
    evaluation mode it never changes.

    Attributes:
        shapes: Shape of each tensor it writes, by name.
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
        """Writes the weights of k tasks.

        Args:
            tasks: k task labels.
            prefix: Write only the tensors whose name begins so.

        Returns:
            For each name a `k x *shape` tensor.

        Raises:
            ValueError: In training mode, a task is not known. In evaluation mode such a task
                gets the weights that the class says.
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
        labels = getattr(experience, "task_labels", None)
        if labels is None:
            raise ValueError(
                "a task-conditional model needs task labels, but the experience has none: build "
                "the benchmark with avalanche's task_incremental_benchmark or with_task_labels. "
                "benchmark_with_validation_stream and split_online_stream lose them: apply "
                "with_task_labels to the streams that they return"
            )
        if self.training:
            self.begin([check_int("a task label", int(label), at_least=0) for label in labels])

    def begin(self, labels: list[int]) -> None:
        """Prepares for the training of some tasks, new ones and known ones."""
        for label in labels:
            self.add_task(label)

    def check_known(self, label: int) -> None:
        """Raises ValueError if the task is not known."""
        if label not in self.tasks:
            raise ValueError(
                f"task {label} has no embedding yet, only {self.tasks} have; Avalanche strategies "
                "add it when they adapt the model, elsewhere call add_task"
            )


def call_per_task(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    groups: TaskGroups,
    *inputs: Tensor,
) -> Any:
    """Runs a module on a batch of k tasks with some of its tensors given for each task.

    One task runs as the plain module would; several run side by side (`torch.vmap`), each on its
    own rows. Tensors that are not given are the module's own, shared by all tasks.

    Args:
        module: Any module whose forward maps tensors of n rows to tensors of n rows.
        weights: For names of the module's parameters a `k x *shape` tensor each.
        groups: Which rows belong to which task.
        *inputs: `n x *` tensors.

    Returns:
        What the module returns, in the order of the batch.

    Raises:
        ValueError: What the module returns has not n rows.

    Example:
        >>> groups = TaskGroups.from_labels(torch.tensor([7, 2, 7]), n=3)
        >>> weights = {"weight": torch.tensor([[[2.0]], [[7.0]]])}
        >>> call_per_task(nn.Linear(1, 1, bias=False), weights, groups, torch.ones(3, 1)).flatten()
        tensor([7., 2., 7.])
    """
    if not weights:
        return module(*inputs)

    def one_task(own: dict[str, Tensor], *rows: Tensor) -> Any:
        out = functional_call(module, own, rows, tie_weights=False)
        for part in tree_leaves(out):
            if isinstance(part, Tensor) and part.shape[:1] != rows[0].shape[:1]:
                raise ValueError(
                    f"{type(module).__name__} returned shape {tuple(part.shape)} for "
                    f"{len(rows[0])} rows: a module with weights for each task must return one "
                    "row for each of its input; take means over the batch in the criterion"
                )
        return out

    if len(groups.tasks) == 1:
        return one_task({name: w.squeeze(0) for name, w in weights.items()}, *inputs)
    grouped = [groups.scatter(x) for x in inputs]
    per_task = vmap(one_task, randomness="different")  # dropout draws for each task
    return tree_map(groups.gather, per_task(dict(weights), *grouped))


def release(module: nn.Module, name: str) -> Tensor:
    """Takes a parameter out of a module, to be written by a hypernetwork from now on.

    In its place stays a buffer without memory of its own, so that the module moves between
    devices and does not count, save or optimize what it no longer owns.

    Args:
        module: The module that the name starts from.
        name: A parameter's name as `named_parameters` gives it.

    Returns:
        The parameter's values.
    """
    *path, last = name.split(".")
    owner = module.get_submodule(".".join(path))
    values = getattr(owner, last).detach().clone()
    delattr(owner, last)
    owner.register_buffer(last, torch.zeros(()).expand(values.shape), persistent=False)
    return values


def parameter_key(name: str) -> str:
    """The name of a main network's tensor as that of a parameter, which must not have dots."""
    return name.replace(".", "/")
