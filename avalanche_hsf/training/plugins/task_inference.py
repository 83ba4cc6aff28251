"""Evaluation by inferred task labels, for any strategy with a task-conditional model."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import torch
from avalanche.training.templates import SupervisedTemplate
from avalanche.training.templates.base_sgd import PeriodicEval
from torch import Tensor

from avalanche_hsf._private.avalanche import experiences_in_training, relabelled
from avalanche_hsf.checks import check_bool, check_choice, check_int, shown
from avalanche_hsf.inference import ClassIncremental, TaskRecognizer
from avalanche_hsf.models.tasks.module import TaskModule
from avalanche_hsf.training.plugins._companion import (
    check_companion,
    check_one_owner,
    check_trained,
    classes_of,
    refuse_parts,
    train_companion,
)
from avalanche_hsf.training.plugins._held_out import by_number, held_out_of, samples_of
from avalanche_hsf.training.plugins._one_label import OneLabel
from avalanche_hsf.training.plugins._parts import Parts
from avalanche_hsf.training.plugins._returning import task_of
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.plugins.commit import CommitPlugin
from avalanche_hsf.training.tasks import is_whole, tasks_of, whole_of

NEW_TASKS = ("label", "experience", "novelty")
"""What opens a task, see `TaskInferencePlugin`."""


class TaskInferencePlugin(Protection):
    """Replaces task labels by inferred ones whenever the strategy evaluates.

    For any supervised strategy whose model has weights for each task. The recognizer's strategy
    is trained on each experience right after the strategy itself, by its own loop, and calibrated
    with the training samples, or better with those of `calibrate_on`. In evaluation the model is
    given the task that the recognizer infers; metrics and loggers still see the true labels, so
    that stock accuracy and forgetting are those of a learner that is told nothing:
    class-incremental where tasks have classes of their own. With `soft` the model's scores for all
    tasks are weighed by the tasks' probabilities, see `ClassIncremental`. In a stream without task
    labels all of them are 0, or there are none.

    Args:
        recognizer: A `TaskRecognizer`; if its model is the strategy's own, nothing more is trained.
        strategy: What trains the recognizer's model, such as an `HSFStrategy`; None: it is trained
            elsewhere, or is the strategy's own.
        new_task: What opens a task in training. "label": the stream's labels do. "experience":
            every experience is a task of its own, numbered as it comes, for streams whose samples
            all have the label 0. "novelty": an experience is one of a known task, which is then
            trained again, if it has the task's classes and the recognizer knows its samples, so
            far as training samples can tell, so better with `calibrate_on`; otherwise a new one.
            Where targets are no classes the samples alone decide. What is trained again, and what
            is a close call, is warned of.
        soft: Whether tasks are weighed; False decides for the likeliest.
        n_samples: Samples of a task that calibrate, at least 2. Of an online experience they are
            kept from all its parts, and each part calibrates anew.
        repeats: Whether, under "label", several experiences may have the only label so far. By
            default a second one is refused: in a stream without labels all have the same.
        calibrate_on: A stream of samples that are not trained on, such as `benchmark.valid_stream`
            or the test stream of a `SplitMNIST(validation=...)`, whose experiences have the numbers
            of those in training: what the recognizer says of
            shares, `unknown` and novelty is then of new samples. None: it is of training samples,
            and new ones are turned away more often: 8 % for `unknown=0.01`, 21 % for 0.05, after
            4 epochs on 400 images a task.

    Attributes:
        inferred: The tasks inferred for the minibatch in evaluation, shape (n,); None before the
            first task is known.
        trained: The tasks of each experience that was trained, by its number.
        ambiguous: The numbers under which experiences were trained as different tasks, as those of
            two benchmarks are, or one that is trained twice under "experience".

    Raises:
        TypeError, ValueError: An argument has the wrong type or is out of its range.

    Example:
        >>> from avalanche_hsf.training import HSFStrategy
        >>> hsf = HSFStrategy.from_preset(input_dim=64, train_epochs=1, evaluator=None)
        >>> plugin = TaskInferencePlugin(TaskRecognizer(hsf.model), hsf)
        >>> plugin.recognizer.tasks
        []
    """

    transient = ("inferred", "_given", "_p", "calibrate_on", "_in_training")

    def __init__(
        self,
        recognizer: TaskRecognizer,
        strategy: SupervisedTemplate | None = None,
        *,
        new_task: str = "label",
        soft: bool = True,
        n_samples: int = 2000,
        repeats: bool = False,
        calibrate_on: Any = None,
    ) -> None:
        super().__init__()
        if not isinstance(recognizer, TaskRecognizer):
            raise TypeError(f"recognizer must be a TaskRecognizer, got {shown(recognizer)}")
        self.recognizer = recognizer
        cure = "TaskInferencePlugin(TaskRecognizer(strategy.model), strategy)"
        self.strategy = check_companion(strategy, recognizer.model, "recognizer's model", cure)
        self.new_task = check_choice("new_task", new_task, NEW_TASKS)
        self.soft = check_bool("soft", soft)
        self.n_samples = check_int("n_samples", n_samples, at_least=2)
        self.inferred: Tensor | None = None
        self._given: Tensor | None = None
        self._p: Tensor | None = None
        self._one_label = OneLabel(type(self).__name__, check_bool("repeats", repeats))
        self._parts = Parts(self.n_samples)
        self.trained: dict[int, set[int]] = {}
        self.ambiguous: set[int] = set()
        self.calibrate_on: dict[int, Any] | None = None
        if calibrate_on is not None:
            self.calibrate_on = by_number("calibrate_on", calibrate_on)
        self._in_training = False

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Goes behind a `CommitPlugin`: what is calibrated is what is kept; evaluations come after.

        What is evaluated within an experience, by `eval_every`, does not know its task yet.
        """
        before = [plugin for plugin in strategy.plugins if plugin is not self]
        here = strategy.plugins.index(self)
        commits = [i for i, plugin in enumerate(before) if isinstance(plugin, CommitPlugin)]
        here = max(here, commits[-1] + 1) if commits else here
        evaluations = [p for p in before[:here] if isinstance(p, PeriodicEval)]
        first = [p for p in before[:here] if not isinstance(p, PeriodicEval)]
        plugins = [*first, self, *evaluations, *before[here:]]
        if plugins != list(strategy.plugins):
            strategy.plugins = plugins  # a new list: the old one is being gone through

    def before_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Gives the experience the label of its task.

        Raises:
            TypeError: The model has no weights for each task.
            ValueError: Under "label", a second experience of the only label, see `repeats`.
        """
        if not isinstance(strategy.model, TaskModule):
            raise TypeError(
                "TaskInferencePlugin needs a model with weights for each task, a TaskConditional "
                f"or a HypernetSDEFlow, got {type(strategy.model).__name__}"
            )
        experience = strategy.experience
        known = self.recognizer.tasks
        if self.new_task != "label" and len(experiences_in_training(strategy)) > 1:
            raise ValueError(
                "JointTraining shows plugins its first experience alone, so the others cannot be "
                'given labels: apply task_incremental_benchmark and leave new_task at "label"'
            )
        if self.new_task == "label":
            self._one_label.check(experiences_in_training(strategy), known)
            return
        refuse_parts(experience)
        label = max(known, default=-1) + 1
        if self.new_task == "novelty" and known:
            label, warning = self._task_of(experience)
            if warning:
                number = experience.current_experience
                warnings.warn(f"experience {number} is {warning}", stacklevel=2)
        strategy.experience = relabelled(experience, label)

    def task_of(self, experience: Any) -> int:
        """The known task that an experience belongs to, or the next free label."""
        return self._task_of(experience)[0]

    def _task_of(self, experience: Any) -> tuple[int, str]:
        x, held_out = self._samples(experience), self.calibrate_on is not None
        return task_of(self.recognizer, x, classes_of(experience), held_out=held_out)

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Checks, before any training, that there will be something to recognize tasks by.

        Raises:
            TypeError, ValueError: The score cannot ask the recognizer's model, or not on these
                samples; there are too few to calibrate with; nobody trains it, or two would.
        """
        super().before_training_exp(strategy, **kwargs)
        check_one_owner(self, strategy)
        for experience in experiences_in_training(strategy):
            labels = sorted(tasks_of(experience))
            check_trained(self.recognizer, strategy, labels)
            for label in labels:
                kept = self._parts.kept(experience, label)
                for x in self._calibrating(experience, label, n=2).values():
                    if len(x) + kept < 2:
                        raise ValueError(
                            f"task {label} has 1 sample to be calibrated with: it takes 2 at least"
                        )
                    self.recognizer.try_on(x, label)
        self._in_training = True

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Has a periodic evaluation come once more at the end, when the task can be recognized."""
        for plugin in strategy.plugins:
            if isinstance(plugin, PeriodicEval):
                plugin.do_final = plugin.eval_every > -1

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Trains the recognizer on the experience and calibrates it."""
        self.recognizer.to(strategy.device)
        for experience in experiences_in_training(strategy):
            train_companion(self.strategy, experience)
            labels = tasks_of(experience)
            for label in sorted(labels):
                self.recognizer.calibrate(
                    label,
                    **self._calibrating(experience, label),
                    classes=classes_of(experience, label),
                )
            whole = whole_of(experience)
            if whole is None:  # a part of several, which are no one task
                continue
            number = whole.current_experience
            if self.trained.setdefault(number, labels) != labels:
                self.ambiguous.add(number)
                self.trained[number] = labels
        self._one_label.note(experiences_in_training(strategy))
        self._in_training = False

    def before_eval_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Gives an experience without any task label the label 0, which is not looked at."""
        if not hasattr(strategy.experience, "task_labels"):
            strategy.experience = relabelled(strategy.experience, 0)

    def before_eval_forward(self, strategy: Any, **kwargs: Any) -> None:
        self._given, self.inferred, self._p = strategy.mbatch[-1], None, None
        if not self.recognizer.tasks:
            return
        # A task that is being trained again is calibrated when its experience ends.
        with self.recognizer.freshness.trusting() if self._in_training else nullcontext():
            self._p = self.recognizer.task_probabilities(strategy.mb_x)
        tasks = torch.tensor(self.recognizer.tasks, device=self._p.device)
        strategy.mbatch[-1] = self.inferred = tasks[self._p.argmax(dim=1)]

    def after_eval_forward(self, strategy: Any, **kwargs: Any) -> None:
        strategy.mbatch[-1] = self._given
        classifies = not strategy.mb_y.is_floating_point()
        if self.soft and classifies and self._p is not None:
            both = ClassIncremental(self.recognizer, strategy.model)
            strategy.mb_output = both.mixed(strategy.mb_x, self._p)
        self._given = self._p = None

    def after_eval(self, strategy: Any, **kwargs: Any) -> None:
        """Lets the last minibatch go."""
        self.inferred = None

    def _calibrating(self, experience: Any, label: int, n: int | None = None) -> dict[str, Tensor]:
        """What a task is calibrated with, at most n samples of each kind."""
        found = {"x": self._samples(experience, label, n)}
        if n is None and not is_whole(experience):
            new = self._samples(experience, label, len(experience.dataset))
            found["x"] = self._parts.take(experience, label, new)
        elif n is None:
            self._parts.drop()
        if self.calibrate_on is not None:
            held_out = held_out_of(experience, self.calibrate_on)
            by_label = label if self.new_task == "label" else None  # else of a task that is ours
            found["held_out"] = self._samples(held_out, by_label, n)
        return found

    def _samples(self, experience: Any, label: int | None = None, n: int | None = None) -> Tensor:
        """At most n samples of an experience, `n_samples` by default, evenly spread."""
        x = samples_of(experience, label, n or self.n_samples)
        if x is None:
            raise ValueError(
                f"experience {experience.current_experience} of calibrate_on has no samples with "
                f"the task label {label}: it needs the labels of the stream in training"
            )
        return x.to(self.recognizer.device)
