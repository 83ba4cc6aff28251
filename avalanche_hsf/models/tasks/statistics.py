"""Batch-norm statistics, one set for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avalanche.models import DynamicModule
from torch import Tensor, nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.models.tasks.per_task import PerTask, check_has, held, holding


class TaskStatistics(DynamicModule):
    """The running statistics of a module's normalization layers, kept apart for each task.

    Shared statistics forget whatever the weights do: each new task moves the mean and variance
    that old tasks are normalized with. A new task starts from the statistics that the module was
    given with. A task that was never trained has those of the first one. As an Avalanche
    `DynamicModule` it grows by each new task of the experience in training.

    Source: Bilen and Vedaldi 2017, https://arxiv.org/abs/1701.07275, for normalization apart by
    domain.

    Args:
        module: Its layers with a `running_mean`, as `BatchNorm` and `InstanceNorm` have, are meant.
        further: Names of other buffers that training changes, to be kept apart too.
    """

    def __init__(self, module: nn.Module, further: Sequence[str] = ()) -> None:
        super().__init__()
        names = [
            f"{path}.{name}" if path else name
            for path, layer in module.named_modules()
            if isinstance(getattr(layer, "running_mean", None), Tensor)
            for name, _ in layer.named_buffers(recurse=False)
        ]
        self.names = list(dict.fromkeys([*names, *further]))
        buffers = {name: module.get_buffer(name).detach().clone() for name in self.names}
        self.initial = holding(buffers)
        self.of_task = PerTask(self._new)

    @property
    def tasks(self) -> list[int]:
        """The labels of all tasks that have statistics, in order of arrival."""
        return list(self.of_task)

    def add_task(self, label: int) -> None:
        """Makes statistics for a task; does nothing if it has some."""
        label = check_int("a task label", label, at_least=0)
        if self.names and label not in self.of_task:
            self.of_task[label] = self._new()

    def copy_task(self, source: int, target: int) -> None:
        """Makes the statistics of a task those of another, as a start for its training.

        Raises:
            ValueError: One of the tasks has none.
        """
        if self.names:
            for label in (source, target):
                check_has(label, self.tasks, "statistics")
            self.of_task[target].load_state_dict(self.of_task[source].state_dict())

    def adaptation(self, experience: Any) -> None:
        """Called by Avalanche before each experience, in training and in evaluation."""
        super().adaptation(experience)
        if self.training:
            for label in getattr(experience, "task_labels", ()):
                self.add_task(int(label))

    def forward(self, label: int, *, learn: bool = True) -> dict[str, Tensor]:
        """The buffers of one task, by name; a training pass through the module changes them.

        With `learn` False they are copies, which no pass reaches.
        """
        if self.training and learn:
            self.add_task(label)
        if label in self.of_task and learn:
            return held(self.of_task[label], self.names)
        first = next(iter(self.of_task.values()), self.initial)
        return self._copied(self.of_task.get(label, first))

    def _copied(self, holder: nn.Module) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in held(holder, self.names).items()}

    def _new(self, *_: Any) -> nn.Module:
        return holding(self._copied(self.initial))
