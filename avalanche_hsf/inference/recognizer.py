"""Which of the tasks known a sample belongs to, or none of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from avalanche_hsf.checks import check_bool, check_int, check_samples, check_share, check_size
from avalanche_hsf.inference.calibration import TaskCalibration, check_enough
from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.inference.fingerprint import fingerprint
from avalanche_hsf.inference.freshness import Freshness
from avalanche_hsf.inference.rows import check_shape, grouped, lead, naming_dtypes, scored
from avalanche_hsf.inference.scores import Score, check_score, default_score
from avalanche_hsf.inference.state import AllOrNothing, check_settings, settings_of
from avalanche_hsf.models.tasks.module import TaskModule


class TaskRecognizer(AllOrNothing):
    """Tells the task of a sample by how well each task's model explains it.

    task(x) = argmax_t s(x, t), with s one of the scores of `avalanche_hsf.inference`. Any
    task-conditional model will do: a `HypernetSDEFlow`, an autoencoder or a classifier in a
    `TaskConditional`. If the model forgets nothing, neither does the recognizer.

    It costs k passes of the model for k tasks, run side by side; with `first` one pass for each
    of the `keep` tasks that this cheaper score likes best. Answers are the same whenever they are
    asked for: the model runs without noise.

    Args:
        model: A `TaskModule`.
        score: Default: `JointScore` for a `HypernetSDEFlow` that reconstructs, otherwise
            `ReconstructionScore`.
        calibrated: Compare tasks in standard deviations from what their own samples scored. Off
            by default: it favours tasks with samples of many kinds.
        first: The score of the first of two stages; None: all tasks take part in the second.
        keep: How many tasks the first stage leaves, at least 1.
        rows: Most rows of one pass through the model, at least 1.

    Probabilities, novelty and `unknown` go by what a task's samples scored when it was calibrated.
    If the task's own weights have changed since, they are refused; if only weights have that all
    tasks share, as a hypernetwork does that does not hold old tasks, they warn, once. What is
    written through `parameter.data` is not noticed. A state of another score, or of other settings,
    is refused, and what is refused changes nothing.

    Attributes:
        calibration: What samples scored, see `TaskCalibration`.

    Raises:
        TypeError: The model is of a kind that the score cannot ask.

    Example:
        >>> from avalanche_hsf.inference import ReconstructionScore
        >>> from avalanche_hsf.models import HypernetSDEFlow
        >>> model = HypernetSDEFlow(input_dim=4, seed=0)
        >>> recognizer = TaskRecognizer(model, ReconstructionScore())
        >>> model.hypernetwork.add_task(7)
        >>> recognizer.calibrate(7, torch.rand(20, 4))
        >>> recognizer.infer_tasks(torch.rand(3, 4))
        tensor([7, 7, 7])
    """

    def __init__(
        self,
        model: TaskModule,
        score: Score | None = None,
        *,
        calibrated: bool = False,
        first: Score | None = None,
        keep: int = 2,
        rows: int = 8192,
    ) -> None:
        super().__init__()
        if not isinstance(model, TaskModule):
            raise TypeError(
                "a recognizer needs a model with weights for each task, a HypernetSDEFlow or a "
                f"TaskConditional, got {type(model).__name__}"
            )
        self.model = model
        self.score = default_score(model) if score is None else check_score(score, model)
        self.calibrated = check_bool("calibrated", calibrated)
        self.first = None if first is None else check_score(first, model)
        self.keep = check_int("keep", keep, at_least=1)
        self.rows = check_size("rows", rows)
        self.calibration = TaskCalibration()
        self.freshness = Freshness()
        self._shape: tuple[int, ...] = ()  # of a sample
        self.register_load_state_dict_pre_hook(check_settings)

    @property
    def tasks(self) -> list[int]:
        """The tasks that can be recognized: those that were calibrated, in order of arrival."""
        return self.calibration.labels

    @property
    def device(self) -> torch.device:
        """Where the recognizer is."""
        return self.calibration.like.device

    @torch.no_grad()
    def calibrate(
        self,
        task: int,
        x: Tensor,
        *,
        held_out: Tensor | None = None,
        classes: Iterable[int] = (),
    ) -> None:
        """Makes a task one of those that can be recognized; called when its training has ended.

        Args:
            task: Its label.
            x: Training samples of it, `n x *features`, at least 2 and better hundreds.
            held_out: Samples of it that were not trained on, `m x *features`, to calibrate with in
                place of x. Without them shares and deviations are those of training samples, which
                a model fits best: of new samples of the task `unknown` turns away more.
            classes: Its classes, if it has some, see `ClassIncremental`.

        Raises:
            ValueError: The model does not know the task, or there are fewer than 2 samples.
        """
        task = check_int("task", task, at_least=0)
        given = {"x": x} if held_out is None else {"x": x, "held_out": held_out}
        for name, samples in given.items():
            check_samples(name, samples)
            check_shape(name, samples, self._shape if self.tasks else tuple(x.shape[1:]))
        name, samples = list(given.items())[-1]
        check_enough(name, samples, task)
        if task not in self.model.tasks:
            raise ValueError(
                f"the model never saw task {task}, only {self.model.tasks}: train it first"
            )
        self._shape = tuple(x.shape[1:])
        for score in (self.score, self.first):
            if score is not None:
                score.note(task, x)
        tasks = list(dict.fromkeys([*self.tasks, task]))
        scores = self._asked(self.score, samples, tasks)
        weights = fingerprint(self.score.asks(self.model), task)
        self.calibration.note(task, scores, tasks, standardized=self.calibrated, weights=weights)
        if classes := {int(label) for label in classes}:
            self.calibration.classes_of.setdefault(task, set()).update(classes)

    def try_on(self, x: Tensor, task: int) -> None:
        """Raises what `calibrate` would raise, before the model was trained on the task.

        Args:
            x: Some samples, `n x *features`.
            task: Their task.
        """
        check_samples("x", x)
        if self.tasks:
            check_shape("x", x, self._shape)
        labels = torch.full((len(x),), task, device=x.device)
        with evaluating(self.model), naming_dtypes(self.model, x):
            for score in (self.score, self.first):
                if score is not None:
                    score.try_on(self.model, x, labels)

    def scores(self, x: Tensor, group_size: int = 1) -> Tensor:
        """How well each task explains each sample: `n x k`, columns as in `tasks`.

        After a first stage the tasks that it left out are at -inf.

        Args:
            x: `n x *features`.
            group_size: So many consecutive samples are known to share a task, which is told from
                their mean score; do not shuffle them. The last group may be smaller. 1: each
                sample by itself.

        Raises:
            ValueError: No task was calibrated yet, or samples do not fit.
        """
        return grouped(self._compared(self._raw(x, group_size)), group_size)

    def deviations(self, x: Tensor, group_size: int = 1) -> Tensor:
        """Scores in standard deviations from the mean of each task's own samples."""
        raw = self._raw(x, group_size)
        return grouped(self._noted().standardized(raw, self.tasks), group_size)

    def infer_tasks(
        self, x: Tensor, *, group_size: int = 1, unknown: float | None = None
    ) -> Tensor:
        """The label of each sample's task, shape (n,); -1 for none of them.

        Args:
            x, group_size: As in `scores`.
            unknown: Answer "none of these" where less than this share of the task's own samples,
                those that it was calibrated with, scored lower, in (0, .5). So many of a task's
                new samples are turned away if it was calibrated with `held_out` ones; otherwise
                several times as many, since a model fits its training samples best. For single
                samples alone. None: never.

        Raises:
            ValueError: Also `unknown` for groups, whose scores spread less.
        """
        raw = self._raw(x, group_size)
        best = grouped(self._compared(raw), group_size).argmax(dim=1)
        labels = torch.tensor(self.tasks, device=x.device)[best]
        if unknown is not None:
            limit = check_share("unknown", unknown, at_most=0.5)
            if group_size > 1:
                raise ValueError(
                    "unknown is a share of single samples: leave group_size at 1, or rank groups "
                    "by novelty(x, group_size=...)"
                )
            labels = labels.where(self._share_below(raw, best) >= limit, -1)
        return labels

    def task_probabilities(self, x: Tensor, *, group_size: int = 1) -> Tensor:
        """p(task | x), `n x k`, columns as in `tasks`: softmax of b times the scores.

        b is learned when tasks are calibrated, see `TaskCalibration`; from training samples it
        comes out too sure. They add up to 1 for any sample, one of no task too: ask `novelty`.
        """
        s = self.scores(x, group_size)
        return (self._noted().sharpness(self.tasks) * s).softmax(dim=1)

    def share_below(self, x: Tensor) -> Tensor:
        """Which share of its best task's own samples scored lower, at most .5; shape (n,)."""
        raw = self._raw(x)
        return self._share_below(raw, self._compared(raw).argmax(dim=1))

    def novelty(self, x: Tensor, *, group_size: int = 1, relative: bool = False) -> Tensor:
        """How new each sample is, shape (n,); higher is newer, for ranking and AUROC.

        Minus the score of its best task, in standard deviations from what the task's own samples
        scored: right for what is like no task at all.

        Args:
            x, group_size: As in `scores`.
            relative: With two tasks or more: minus how much better the best task explains the
                sample than the others do in the mean. A sample of none of them is explained by
                all about as well, be it easy or hard, so this ranks samples of a kind, new digits
                among digits, better. Far from all tasks it means nothing.

        Raises:
            ValueError: Also `relative` where a first stage leaves but one task.
        """
        if check_bool("relative", relative) and self.first is not None and self.keep < 2:
            raise ValueError("relative needs other tasks to compare with: keep at least 2")
        raw = self._raw(x, group_size)
        s = grouped(self._compared(raw), group_size)
        if relative and s.shape[1] > 1:
            return -lead(s)
        deviations = grouped(self._noted().standardized(raw, self.tasks), group_size)
        return -deviations.gather(1, s.argmax(dim=1, keepdim=True))[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """As `scores`."""
        return self.scores(x)

    def _known(self) -> list[int]:
        if not self.tasks:
            raise ValueError(
                "the recognizer knows no task yet: train its model on one, then call calibrate "
                "with the task's training samples, as TaskInferencePlugin does"
            )
        return self.tasks

    def _noted(self) -> TaskCalibration:
        """The calibration, which is that of the weights there are now."""
        self.freshness.check(self.calibration, self.score.asks(self.model))
        return self.calibration

    def _compared(self, raw: Tensor) -> Tensor:
        """What tasks are compared by."""
        return self._noted().standardized(raw, self.tasks) if self.calibrated else raw

    def _share_below(self, raw: Tensor, best: Tensor) -> Tensor:
        shares = self._noted().share_below(raw, self.tasks)
        return shares.gather(1, best.unsqueeze(1))[:, 0]

    def get_extra_state(self) -> dict[str, Any]:
        return {"shape": self._shape, "settings": settings_of(self)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._shape = tuple(state["shape"])

    def _raw(self, x: Tensor, group_size: int = 1) -> Tensor:
        tasks = self._known()
        check_samples("x", x)
        check_shape("x", x, self._shape)
        if self.first is None or self.keep >= len(tasks):
            return self._asked(self.score, x, tasks)
        first = grouped(self._asked(self.first, x, tasks), group_size)  # a group keeps the same
        best = first.topk(self.keep, dim=1).indices
        labels = torch.tensor(tasks, device=x.device)[best]
        s = x.new_full((len(x), len(tasks)), -torch.inf)
        return s.scatter(1, best, self._scored(self.score, x, labels))

    def _asked(self, score: Score, x: Tensor, tasks: list[int]) -> Tensor:
        labels = torch.tensor(tasks, device=x.device).expand(len(x), -1)
        return self._scored(score, x, labels)

    def _scored(self, score: Score, x: Tensor, labels: Tensor) -> Tensor:
        return scored(self.model, score, x, labels, self.rows)
