"""Masks the scores of classes that a task never had."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.models import DynamicModule
from torch import Tensor

from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.per_task import task_labels_of


class ClassMask(DynamicModule):
    """Sets the scores of classes that are not a task's own to a large negative number.

    So the output is a head for each task, as Avalanche's `MultiHeadClassifier` has them, with its
    value for what is masked. A task's classes are those it was trained on; a task that was never
    trained is not masked. As an Avalanche `DynamicModule` it learns of classes from each
    experience in training.

    Example:
        >>> mask = ClassMask()
        >>> mask.add_classes(7, [0, 2])
        >>> mask(torch.tensor([[1.0, 2.0, 3.0]]), TaskGroups([7]))
        tensor([[    1., -1000.,     3.]])
    """

    VALUE = -1000.0

    def __init__(self) -> None:
        super().__init__()
        self.classes_of: dict[int, set[int]] = {}

    def add_classes(self, label: int, classes: Any) -> None:
        """Notes that a task has some classes."""
        self.classes_of.setdefault(int(label), set()).update(int(c) for c in classes)

    def adaptation(self, experience: Any) -> None:
        """Called by Avalanche before each experience, in training and in evaluation.

        Raises:
            ValueError: The experience has no class labels, or no task labels.
        """
        super().adaptation(experience)
        if not self.training:
            return
        targets = getattr(experience.dataset, "targets", None)
        if targets is None:
            raise ValueError(
                "masking needs class labels, but the experience has no targets: build the "
                "benchmark with one of Avalanche's classification functions, or set masking=False"
            )
        task_labels_of(experience)
        labels = experience.dataset.targets_task_labels
        for label, y in {(int(t), int(y)) for t, y in zip(labels, targets, strict=True)}:
            self.add_classes(label, [y])

    def forward(self, scores: Tensor, groups: TaskGroups) -> Tensor:
        """Masks the scores of a batch, a `n x n_classes` tensor.

        Raises:
            ValueError: Scores are no matrix, or have too few columns for a class of their task.
        """
        if scores.dim() != 2:
            raise ValueError(
                f"masking needs scores of shape (n, n_classes), got {tuple(scores.shape)}"
            )
        masked = torch.stack([self._foreign(task, scores.shape[1]) for task in groups.tasks])
        masked = masked.to(scores.device)
        if groups.of_row is not None:
            masked = masked[groups.of_row.to(scores.device)]
        return scores.masked_fill(masked, self.VALUE)

    def _foreign(self, label: int, n_classes: int) -> Tensor:
        classes = sorted(self.classes_of.get(label, range(n_classes)))
        if classes and classes[-1] >= n_classes:
            raise ValueError(
                f"task {label} has class {classes[-1]}, but the module gives {n_classes} scores: "
                "it needs one per class of the stream"
            )
        foreign = torch.ones(n_classes, dtype=torch.bool)
        foreign[classes] = False
        return foreign

    def get_extra_state(self) -> dict[int, list[int]]:
        return {label: sorted(classes) for label, classes in self.classes_of.items()}

    def set_extra_state(self, state: dict[int, list[int]]) -> None:
        self.classes_of = {label: set(classes) for label, classes in state.items()}
