"""A recognizer and a task-conditional classifier as one classifier that needs no task labels."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.models import DynamicModule
from torch import Tensor

from avalanche_hsf.checks import check_bool
from avalanche_hsf.inference.classifying import log_probabilities
from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.inference.recognizer import TaskRecognizer
from avalanche_hsf.inference.state import AllOrNothing
from avalanche_hsf.models.tasks.module import TaskModule


class ClassIncremental(AllOrNothing, DynamicModule):
    """p(y | x) = sum_t p(t | x) p(y | x, t): scores over all classes, without a task label.

    To Avalanche a plain classifier, so that its accuracy and forgetting are class-incremental. It
    is made of trained parts and is not trained itself. It costs k passes of recognizer and
    classifier for k tasks, or, hard, k of the recognizer and one of the classifier.

    Both parts must be of the same tasks. Tasks whose classes differ are refused where they are
    known: of the recognizer's tasks by `TaskInferencePlugin` or `calibrate(..., classes=)`, of the
    classifier's by its mask. Otherwise nothing but the labels is compared.

    Args:
        recognizer: Of the same tasks as the classifier.
        classifier: Gives class scores, `n x n_classes`, for samples and their tasks; best with
            masking, which leaves each task its own classes.
        soft: False decides for a task first: p(y | x) = p(y | x, argmax_t p(t | x)).

    Example:
        >>> from avalanche_hsf.inference import ReconstructionScore
        >>> from torch import nn
        >>> from avalanche_hsf.models import HypernetSDEFlow, TaskConditional
        >>> recognizer = TaskRecognizer(HypernetSDEFlow(4, seed=0), ReconstructionScore())
        >>> classifier = TaskConditional(nn.Linear(4, 6), seed=0)
        >>> for model in (recognizer.model, classifier):
        ...     model.hypernetwork.add_task(0)
        >>> recognizer.calibrate(0, torch.rand(20, 4))
        >>> ClassIncremental(recognizer, classifier)(torch.rand(3, 4)).shape
        torch.Size([3, 6])
    """

    def __init__(
        self, recognizer: TaskRecognizer, classifier: TaskModule, *, soft: bool = True
    ) -> None:
        super().__init__()
        if not isinstance(recognizer, TaskRecognizer):
            kind = type(recognizer).__name__
            raise TypeError(f"recognizer must be a TaskRecognizer, got {kind}")
        if not isinstance(classifier, TaskModule):
            raise TypeError(
                "classifier must have weights for each task, as a TaskConditional, got "
                f"{type(classifier).__name__}"
            )
        self.recognizer = recognizer
        self.classifier = classifier
        self.soft = check_bool("soft", soft)

    def adaptation(self, experience: Any) -> None:
        """Called by Avalanche before each experience.

        Raises:
            ValueError: In training.
        """
        super().adaptation(experience)
        if self.training:
            raise ValueError(
                "a ClassIncremental is made of trained parts and is not trained itself: train the "
                "recognizer's and the classifier's own strategies, as TaskInferencePlugin does"
            )

    def forward(self, x: Tensor) -> Tensor:
        """log p(y | x), `n x n_classes`, of `n x *features`; no gradient reaches the parts.

        Raises:
            ValueError: No task is known, or the parts know different ones.
        """
        return self.predict_log_proba(x)

    def infer_tasks(self, x: Tensor, *, group_size: int = 1) -> Tensor:
        """See `TaskRecognizer.infer_tasks`."""
        return self.recognizer.infer_tasks(x, group_size=group_size)

    def novelty(self, x: Tensor, *, group_size: int = 1, relative: bool = False) -> Tensor:
        """See `TaskRecognizer.novelty`."""
        return self.recognizer.novelty(x, group_size=group_size, relative=relative)

    def predict(self, x: Tensor, *, group_size: int = 1, unknown: float | None = None) -> Tensor:
        """The class of each sample, shape (n,); -1 for those of none of the tasks.

        Args:
            x, group_size, unknown: As in `TaskRecognizer.infer_tasks`.
        """
        classes = self.predict_log_proba(x, group_size=group_size).argmax(dim=1)
        if unknown is None:
            return classes
        tasks = self.recognizer.infer_tasks(x, group_size=group_size, unknown=unknown)
        return classes.where(tasks >= 0, -1)

    def predict_proba(self, x: Tensor, *, group_size: int = 1) -> Tensor:
        """p(y | x), `n x n_classes`; rows add up to 1.

        Too sure of itself where tasks were calibrated with training samples: .86 in the mean at an
        accuracy of .77. A sample of no class gets probabilities as high: ask `novelty`.
        """
        return self.predict_log_proba(x, group_size=group_size).exp()

    def predict_log_proba(self, x: Tensor, *, group_size: int = 1) -> Tensor:
        """log p(y | x), `n x n_classes`.

        Raises:
            ValueError: As in `forward`.
        """
        p = self.recognizer.task_probabilities(x, group_size=group_size)
        if further := set(self.classifier.tasks) - set(self.recognizer.tasks):
            raise _others(self.recognizer, self.classifier, min(further))
        return self.mixed(x, p)

    def mixed(self, x: Tensor, p: Tensor) -> Tensor:
        """log p(y | x), where the tasks' probabilities are p, `n x k` as the recognizer's."""
        _check_same_tasks(self.recognizer, self.classifier)
        tasks = self.recognizer.tasks
        with evaluating(self.classifier):
            if not self.soft:
                labels = torch.tensor(tasks, device=x.device)[p.argmax(dim=1)]
                return log_probabilities("classifier", self.classifier(x, labels))
            of_task = [log_probabilities("classifier", self.classifier(x, task)) for task in tasks]
        logs = torch.stack(of_task, dim=1) + p.clamp(min=1e-30).log().unsqueeze(2)
        return logs.logsumexp(dim=1)


def _check_same_tasks(recognizer: TaskRecognizer, classifier: TaskModule) -> None:
    """ValueError unless a classifier knows all tasks that are recognized, with their classes."""
    missing = [task for task in recognizer.tasks if task not in classifier.tasks]
    if missing:
        raise _others(recognizer, classifier, missing[0])
    mask = getattr(classifier, "mask", None)
    for task, ours in recognizer.calibration.classes_of.items():
        theirs = ours if mask is None else mask.classes_of.get(task, ours)
        if not ours <= theirs:
            raise ValueError(
                f"task {task} has the classes {sorted(ours)} in the recognizer, {sorted(theirs)} "
                "in the classifier: train both on the same stream"
            )


def _others(recognizer: TaskRecognizer, classifier: TaskModule, task: int) -> ValueError:
    return ValueError(
        f"the recognizer knows the tasks {recognizer.tasks}, the classifier "
        f"{list(classifier.tasks)}, and task {task} is of one alone: train both on the "
        "same stream, and calibrate the recognizer for each task"
    )
