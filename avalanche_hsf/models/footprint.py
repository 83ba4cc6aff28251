"""What a model keeps, in bytes: for all tasks together, and for each task alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from avalanche_hsf._private.torch import uncompiled
from avalanche_hsf.checks import shown
from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.hypernetworks.drafts import Drafts
from avalanche_hsf.models.memory import NO_STORAGE, Memory, parts
from avalanche_hsf.models.tasks.per_task import PerTask
from avalanche_hsf.models.tasks.statistics import TaskStatistics
from avalanche_hsf.models.written import TaskWritten


@dataclass(frozen=True)
class Storage:
    """Bytes that a model keeps.

    Args:
        shared: What is there once: parts of the network that are not written, a hypernetwork's own
            weights, the first task's weights where later tasks change them a little.
        per_task: What each task adds, by its label.
    """

    shared: int
    per_task: Mapping[int, int]

    @property
    def total(self) -> int:
        return self.shared + sum(self.per_task.values())


def storage(model: nn.Module) -> Storage:
    """The bytes that a model keeps between tasks, as `compare` counts them.

    Counted are all tensors that can be reached from it, in the type that they are stored in: 4
    bytes a float32, and no more than its bits for a packed code. Of a task in training it is what
    it has now, in float32; `commit` packs it. Random generators, task labels and plain Python
    numbers are not counted. The place of a parameter that is written for each task counts as one
    number. Plugins keep what they keep besides.

    Args:
        model: A `HypernetSDEFlow`, `TaskConditional` or a hypernetwork.

    Raises:
        TypeError: It is another one.

    Example:
        >>> from avalanche_hsf.models import TaskConditional
        >>> model = TaskConditional(nn.Linear(63, 10), seed=0)
        >>> for task in (0, 1):
        ...     model.hypernetwork.add_task(task)
        >>> storage(model).per_task
        {0: 2560, 1: 2560}
    """
    model = uncompiled(model)
    if not isinstance(model, (TaskWritten, TaskWeights)):
        raise TypeError(
            "storage is that of a HypernetSDEFlow, a TaskConditional or a hypernetwork, got "
            f"{shown(model)}"
        )
    per_task = {label: _size(_parts_of(model, label)) for label in model.tasks}
    return Storage(_size([model]) - sum(per_task.values()), per_task)


def _parts_of(model: nn.Module, label: int) -> Iterator[Any]:
    """What belongs to one task alone."""
    for part in model.modules():
        if isinstance(part, (PerTask, Drafts)) and label in part:
            yield part[label]
        if isinstance(part, TaskStatistics):
            yield part.attributes_of_task.get(label)


def _size(values: Iterable[Any]) -> int:
    memory, todo = Memory(), list(values)
    seen: set[int] = set()
    while todo:
        value = todo.pop()
        if isinstance(value, (Tensor, np.ndarray)):
            memory.add(value)
        elif id(value) not in seen and not isinstance(value, NO_STORAGE):
            seen.add(id(value))
            todo.extend(part for _, part in parts(value))
    return memory.n_bytes()
