"""The paper's baseline, once for each task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.models.baselines.mlp import MLPAutoencoder
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.module import TaskModule
from avalanche_hsf.models.tasks.per_task import check_has


class SeparateMLPAutoencoders(TaskModule):
    """One `MLPAutoencoder` per task: nothing shared, nothing forgotten, and as many parameters.

    A network is added when a strategy adapts the model to a training experience with a new task.
    The first one exists from the start, so that an optimizer can be made, and becomes that of
    the first task. In evaluation a task that was never trained is served by the first task's
    network. Batches may mix tasks. Arguments as in `MLPAutoencoder`.

    Example:
        >>> model = SeparateMLPAutoencoders(3)
        >>> model.add_task(7)
        >>> model.add_task(2)
        >>> model.tasks
        [7, 2]
        >>> model.copy_task(7, 2)
        >>> x = torch.randn(4, 3)
        >>> torch.equal(model(x, 7), model(x, 2))
        True
    """

    def __init__(self, input_dim: int, *, hidden_dim: int = 64, latent_dim: int = 24) -> None:
        super().__init__()
        self._sizes = {"hidden_dim": hidden_dim, "latent_dim": latent_dim}
        self.input_dim = input_dim
        self.networks = nn.ModuleList([MLPAutoencoder(input_dim, **self._sizes)])
        self._labels: list[int] = []  # of the networks
        self.register_load_state_dict_pre_hook(_grow)

    @property
    def tasks(self) -> list[int]:
        """The labels of all tasks that have a network, in order of arrival."""
        return list(self._labels)

    def add_task(self, label: int) -> None:
        """Makes a network for a task, with fresh weights; does nothing if the task has one."""
        label = check_int("a task label", label, at_least=0)
        if label in self._labels:
            return
        if self._labels:
            first = next(self.networks[0].parameters())
            new = MLPAutoencoder(self.input_dim, **self._sizes)
            self.networks.append(new.to(first.device, first.dtype))
        self._labels.append(label)

    _prepare = add_task

    def copy_task(self, source: int, target: int) -> None:
        """Gives the network of task `target` the weights of the network of task `source`.

        Raises:
            ValueError: One of them has no network.
        """
        for label in (source, target):
            check_has(label, self.tasks, "network")
        self._network(target).load_state_dict(self._network(source).state_dict())

    def _forward(self, x: Tensor, task_labels: Tensor | int) -> Tensor:
        """The reconstruction, in the shape of x."""
        groups = TaskGroups.from_labels(task_labels, len(x))
        if len(groups.tasks) == 1:
            return self._network(groups.tasks[0])(x)
        out = torch.empty_like(x)
        for k, label in enumerate(groups.tasks):
            rows = groups.of_row == k
            out[rows] = self._network(label)(x[rows])
        return out

    def _network(self, label: int) -> nn.Module:
        if self.training:
            check_has(label, self.tasks, "network")
        return self.networks[self._labels.index(label) if label in self._labels else 0]

    def get_extra_state(self) -> Tensor:
        """The task labels, kept in a `state_dict`."""
        return torch.tensor(self.tasks, dtype=torch.long)

    def set_extra_state(self, state: Tensor) -> None:
        """Read by a hook before, which adds the networks that are loaded next."""


def _grow(module: SeparateMLPAutoencoders, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for label in state.get(f"{prefix}_extra_state", ()):
        module.add_task(int(label))
