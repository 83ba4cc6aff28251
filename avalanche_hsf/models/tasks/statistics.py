"""What a module keeps from pass to pass, one set for each task: batch-norm statistics, mostly."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from avalanche.models import DynamicModule
from torch import Tensor, nn

from avalanche_hsf._private.torch import attributes_of
from avalanche_hsf.checks import check_int, check_names, shown
from avalanche_hsf.models.tasks.call import parameter_key
from avalanche_hsf.models.tasks.nested import map_tensors
from avalanche_hsf.models.tasks.per_task import PerTask, check_has, held, holding
from avalanche_hsf.models.tasks.snapshot import state_of


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
        further: Names of other buffers, or attributes, that a pass changes, to be kept apart too.

    Attributes:
        names: Names of the buffers, as in the module.
        attributes: Names of the attributes.

    Raises:
        ValueError: The module has no buffer or attribute of a name.
    """

    def __init__(self, module: nn.Module, further: Sequence[str] = ()) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must be a torch module, got {shown(module)}")
        further = check_names("task_buffers", further)
        buffers = dict(module.named_buffers())
        names = [
            f"{path}.{name}" if path else name
            for path, layer in module.named_modules()
            if isinstance(getattr(layer, "running_mean", None), Tensor)
            for name, _ in layer.named_buffers(recurse=False)
        ]
        buffers |= {n: p for n, p in module.named_parameters() if n in further}
        named = {name: _attribute(module, name) for name in further if name not in buffers}
        self.names = list(dict.fromkeys([*names, *(n for n in further if n in buffers)]))
        self.attributes = list(named)
        self.initial = holding({name: buffers[name].detach().clone() for name in self.names})
        self.first = copy.deepcopy(named)
        self.of_task = PerTask(self._new)
        self.attributes_of_task: dict[int, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.names or self.attributes)

    @property
    def tasks(self) -> list[int]:
        """The labels of all tasks that have statistics, in order of arrival."""
        return list(self.of_task)

    def add_task(self, label: int) -> None:
        """Makes statistics for a task; does nothing if it has some."""
        label = check_int("a task label", label, at_least=0)
        if self and label not in self.of_task:
            self.of_task[label] = self._new()
            self.attributes_of_task[label] = copy.deepcopy(self.first)

    def copy_task(self, source: int, target: int) -> None:
        """Makes the statistics of a task those of another, as a start for its training.

        Raises:
            ValueError: One of the tasks has none.
        """
        if self:
            for label in (source, target):
                check_has(label, self.tasks, "statistics")
            self.of_task[target].load_state_dict(self.of_task[source].state_dict())
            self.attributes_of_task[target] = copy.deepcopy(self.attributes_of_task[source])

    def adaptation(self, experience: Any) -> None:
        """Called by Avalanche before each experience, in training and in evaluation."""
        super().adaptation(experience)
        if self.training:
            for label in getattr(experience, "task_labels", ()):
                self.add_task(int(label))

    def forward(self, label: int, *, learn: bool = True) -> dict[str, Any]:
        """The buffers and attributes of one task, by name; a pass may change them in place.

        Args:
            label: The task.
            learn: False: copies, which no pass reaches.
        """
        if self.training and learn:
            self.add_task(label)
        if label in self.of_task:
            return self._read(label, copied=not learn)
        if self.tasks:
            return self._read(self.tasks[0], copied=True)
        return _cloned(self.initial, self.names) | copy.deepcopy(self.first)

    @torch.no_grad()
    def keep(self, label: int, replaced: Mapping[str, Any]) -> None:
        """Notes what a pass has put in place of some of the buffers and attributes of a task."""
        for name, value in replaced.items():
            if name in self.names:
                setattr(self.of_task[label], parameter_key(name), value.detach().clone())
            else:
                self.attributes_of_task[label][name] = _detached(value)

    def get_extra_state(self) -> dict[int, dict[str, Any]]:
        return self.attributes_of_task

    def set_extra_state(self, state: dict[int, dict[str, Any]]) -> None:
        self.attributes_of_task = copy.deepcopy(state)

    def _read(self, label: int, *, copied: bool) -> dict[str, Any]:
        attributes = self.attributes_of_task.get(label, {})
        if copied:
            return _cloned(self.of_task[label], self.names) | copy.deepcopy(attributes)
        return held(self.of_task[label], self.names) | attributes

    def _new(self, *_: Any) -> nn.Module:
        return holding(_cloned(self.initial, self.names))


def _cloned(holder: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in held(holder, names).items()}


def _detached(value: Any) -> Any:
    return map_tensors(lambda v: v.detach() if isinstance(v, Tensor) else v, value)


def _attribute(module: nn.Module, name: str) -> Any:
    path, _, last = name.rpartition(".")
    layer = dict(module.named_modules()).get(path, nn.Module())
    if last not in attributes_of(layer):
        raise ValueError(
            f"unknown buffer or attribute {name!r}; choose from {', '.join(state_of(module))}"
        )
    return attributes_of(layer)[last]
