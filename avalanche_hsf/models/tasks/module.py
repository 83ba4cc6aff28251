"""What every task-conditional model here has in common as an Avalanche `MultiTaskModule`."""

from __future__ import annotations

from typing import Any

from avalanche.models import MultiTaskModule
from torch import Tensor


class TaskModule(MultiTaskModule):
    """A `MultiTaskModule` for any target, whose batches may mix tasks.

    Avalanche 0.6's own base class looks for class labels, which regression streams lack, and
    writes all outputs into one matrix of class scores; a subclass here overrides `forward` whole.

    Attributes:
        known_train_tasks_labels: The labels of all tasks trained so far.
    """

    known_train_tasks_labels: set[int]  # set by Avalanche's base class

    @property
    def tasks(self) -> list[int]:
        """The labels of all tasks that have an output of their own."""
        return sorted(self.known_train_tasks_labels)

    def adaptation(self, experience: Any) -> None:
        """Notes the tasks of an experience in training."""
        if self.training:
            labels = {int(label) for label in getattr(experience, "task_labels", ())}
            self.known_train_tasks_labels.update(labels)

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        """`forward` for one task; part of Avalanche's `MultiTaskModule`."""
        return self(x, task_label)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Tensor]:
        """`forward` for every task, by task label."""
        return {task: self(x, task) for task in self.tasks}
