"""Batch-norm statistics, one set for each task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avalanche.models import DynamicModule
from torch import Tensor, nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.models.tasks.call import parameter_key
from avalanche_hsf.models.tasks.per_task import PerTask, check_has, holding


class TaskStatistics(DynamicModule):
    """The running statistics of a module's normalization layers, kept apart for each task.

    Shared statistics forget whatever the weights do: each new task moves the mean and variance
    that old tasks are normalized with. A new task starts from the statistics that the module was
    given with. A task that was never trained has those of the first one.

    As an Avalanche `DynamicModule` it grows by each new task of the experience that is trained.

    Source: Bilen and Vedaldi 2017, https://arxiv.org/abs/1701.07275, for normalization apart by
    domain.

    Args:
        module: Its layers with a `running_mean`, as `BatchNorm` and `InstanceNorm` have, are meant.
        further: Names of other buffers that training changes, to be kept apart too.

    Attributes:
        names: Names of the buffers, as in the module.
    """

    def __init__(self, module: nn.Module, further: Sequence[str] = ()) -> None:
        super().__init__()
        initial = {
            f"{path}.{name}" if path else name: value.detach().clone()
            for path, layer in module.named_modules()
            if isinstance(getattr(layer, "running_mean", None), Tensor)
            for name, value in layer.named_buffers(recurse=False)
        }
        initial |= {name: module.get_buffer(name).detach().clone() for name in further}
        self.names = list(initial)
        self.initial = holding(initial)
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
        for label in (source, target):
            if self.names:
                check_has(label, self.tasks, "statistics")
        for name in self.names:
            of_source = self.of_task[source].get_buffer(parameter_key(name))
            self.of_task[target].get_buffer(parameter_key(name)).copy_(of_source)

    def adaptation(self, experience: Any) -> None:
        """Called by Avalanche before each experience, in training and in evaluation."""
        super().adaptation(experience)
        if self.training:
            for label in getattr(experience, "task_labels", ()):
                self.add_task(int(label))

    def forward(self, label: int, *, learn: bool = True) -> dict[str, Tensor]:
        """The buffers of one task, by name; a training pass through the module changes them.

        Args:
            label: The task.
            learn: False: copies, which no pass reaches.
        """
        if self.training and learn:
            self.add_task(label)
        if label in self.of_task:
            return self._read(self.of_task[label], copy=not learn)
        first = self.of_task[self.tasks[0]] if self.tasks else self.initial
        return self._read(first, copy=True)

    def _read(self, holder: nn.Module, *, copy: bool = False) -> dict[str, Tensor]:
        tensors = {name: holder.get_buffer(parameter_key(name)) for name in self.names}
        return {name: t.clone() for name, t in tensors.items()} if copy else tensors

    def _new(self, *_: Any) -> nn.Module:
        return holding(self._read(self.initial, copy=True))
