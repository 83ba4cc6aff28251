"""The paper's baseline, once for each task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int, check_task_labels
from avalanche_hsf.models.baselines.mlp import MLPAutoencoder
from avalanche_hsf.models.tasks.module import TaskModule
from avalanche_hsf.models.tasks.per_task import check_has


class SeparateMLPAutoencoders(TaskModule):
    """One `MLPAutoencoder` per task: nothing shared, nothing forgotten, and as many parameters.

    A network is added when a strategy adapts the model to a training experience with a new task.
    The first one exists from the start, so that an optimizer can be made, and becomes that of
    the first task. In evaluation a task that was never trained is served by the first task's
    network. Batches may mix tasks.

    Args:
        input_dim: Number of features of one sample, all dimensions but the first multiplied.
        hidden_dim: Width of the hidden layers.
        latent_dim: Width of the bottleneck.

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
        self._index_of: dict[int, int] = {}
        self.register_load_state_dict_pre_hook(_add_tasks)

    @property
    def tasks(self) -> list[int]:
        """The labels of all tasks that have a network, in order of arrival."""
        return list(self._index_of)

    def add_task(self, label: int) -> None:
        """Makes a network for a task, with fresh weights; does nothing if the task has one."""
        label = check_int("a task label", label, at_least=0)
        if label in self._index_of:
            return
        if self._index_of:
            first = next(self.networks[0].parameters())
            new = MLPAutoencoder(self.input_dim, **self._sizes)
            self.networks.append(new.to(first.device, first.dtype))
        self._index_of[label] = len(self.networks) - 1

    def copy_task(self, source: int, target: int) -> None:
        """Gives the network of task `target` the weights of the network of task `source`.

        Raises:
            ValueError: One of them has no network.
        """
        for label in (source, target):
            check_has(label, self.tasks, "network")
        weights = self.networks[self._index_of[source]].state_dict()
        self.networks[self._index_of[target]].load_state_dict(weights)

    def adaptation(self, experience: Any) -> None:
        """Adds a network for each new task of an experience in training."""
        if self.training:
            for label in sorted({int(label) for label in getattr(experience, "task_labels", ())}):
                self.add_task(label)
        super().adaptation(experience)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """The reconstruction, each sample by the network of its task.

        Args:
            x: A `n x *features` tensor with `input_dim` features per sample.
            task_labels: One integer for all samples, or an integer tensor of shape (n,), or None
                for the reconstruction by every network, as in Avalanche.

        Returns:
            A tensor in the shape of x; for None a dictionary of them by task label.

        Raises:
            TypeError: Labels are no integers.
            ValueError: x has another number of features, or there is not one label for each
                sample, or, in training mode, a task has no network.
        """
        if task_labels is None:
            return self.forward_all_tasks(x)
        if not isinstance(task_labels, Tensor):
            return self._network(check_int("a task label", task_labels, at_least=0))(x)
        task_labels = check_task_labels(task_labels, len(x))
        labels = task_labels.unique().tolist()
        if len(labels) == 1:
            return self._network(labels[0])(x)
        out = torch.empty_like(x)
        for label in labels:
            rows = task_labels == label
            out[rows] = self._network(label)(x[rows])
        return out

    def _network(self, label: int) -> nn.Module:
        if self.training:
            check_has(label, self.tasks, "network")
        return self.networks[self._index_of.get(label, 0)]

    def get_extra_state(self) -> Tensor:
        """The task labels, kept in a `state_dict`."""
        return torch.tensor(self.tasks, dtype=torch.long)

    def set_extra_state(self, state: Tensor) -> None:
        """Read by a hook before, which adds the networks that are loaded next."""


def _add_tasks(
    module: SeparateMLPAutoencoders, state: Mapping[str, Any], prefix: str, *_: Any
) -> None:
    for label in state.get(f"{prefix}_extra_state", ()):
        module.add_task(int(label))
