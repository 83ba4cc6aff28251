"""What every task-conditional model here has in common as an Avalanche `MultiTaskModule`."""

from __future__ import annotations

from typing import Any

from avalanche.models import MultiTaskModule
from torch import Tensor


class TaskModule(MultiTaskModule):
    """A `MultiTaskModule` for any target, whose batches may mix tasks.

    Avalanche 0.6's own base class looks for class labels, which regression streams lack, and
    writes all outputs into one matrix of class scores. A subclass here defines `_forward`, or
    overrides `forward` whole. `known_train_tasks_labels` are those of all tasks trained so far.
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
            for label in sorted(labels):
                self._prepare(label)
            self.known_train_tasks_labels.update(labels)

    def _prepare(self, label: int) -> None:
        """Called for each task of an experience in training."""

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """The model's output, each row by what belongs to its task.

        Args:
            x: A `n x *` tensor.
            task_labels: One integer for all rows, or an integer tensor of shape (n,), or None for
                the output of every task, as in Avalanche.

        Returns:
            The output for n rows; for None a dictionary of them by task label.

        Raises:
            TypeError: Labels are no integers.
            ValueError: x does not fit the model, or labels are negative, of the wrong shape or, in
                training mode, not among the tasks added so far.
        """
        return self.forward_all_tasks(x) if task_labels is None else self._forward(x, task_labels)

    def _forward(self, x: Tensor, task_labels: Tensor | int) -> Any:
        raise NotImplementedError

    def forward_single_task(self, x: Tensor, task_label: int) -> Any:
        """`forward` for one task; part of Avalanche's `MultiTaskModule`."""
        return self(x, task_label)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Any]:
        """`forward` for every task, by task label."""
        return {task: self(x, task) for task in self.tasks}
