"""Replay of generated samples, labeled by the learner itself."""

from __future__ import annotations

import copy
from typing import Any

import torch
from avalanche.models import avalanche_forward
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn

from avalanche_hsf._private.avalanche import (
    criterion_of,
    experiences_in_training,
    relabelled,
    unpacked,
)
from avalanche_hsf.checks import (
    check_bool,
    check_choice,
    check_non_negative,
    check_positive,
    check_share,
    check_size,
    shown,
)
from avalanche_hsf.generators import generators_kept
from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.seeds import resolve_seed
from avalanche_hsf.training.losses import distillation
from avalanche_hsf.training.plugins._companion import (
    check_companion,
    check_one_owner,
    refuse_parts,
    train_companion,
)
from avalanche_hsf.training.plugins._one_label import OneLabel
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.tasks import current_tasks
from avalanche_hsf.training.terms import add_term

TARGETS = ("soft", "hard")
"""What a generated sample is labeled with, see `GeneratedReplayPlugin`."""


class GeneratedReplayPlugin(Protection):
    r"""Adds weight * k * replay to the loss: samples that a generator draws of k finished tasks.

    replay = mean over m samples x ~ generator(t) of loss(model(x), target(x, t))

    No sample of the stream is stored. The targets are those of the learner as it was when the last
    experience ended, of which a copy is held while the next one is trained: the probabilities of
    classes, softened, or the likeliest class. Where the stream's targets are no classes it is the
    copy's output, and for a learner that reconstructs, the sample itself. Every task weighs alike,
    the new one 1 and the old ones k together: under plain SGD the step grows with k, so use a
    smaller rate, or `weight`.

    For any supervised strategy: a plain network that is told no task, one with a head for each
    task, an autoencoder. A model that holds old tasks by construction is not harmed and gains
    nothing. Not Avalanche's `GenerativeReplayPlugin`, whose generator is one model for all tasks
    and forgets in turn.

    The generator is trained on each experience right after the learner, by its own strategy. Where
    it is the learner's own model, the copy draws the samples. Global generators are left as they
    were.

    Source: deep generative replay, Shin et al. 2017, https://arxiv.org/abs/1705.08690; softened
    targets, van de Ven and Tolias 2018, https://arxiv.org/abs/1809.10635

    Args:
        generator: A module with `sample(n, task, generator=)` that keeps its tasks apart, such as
            a `HypernetSDEFlow` that reconstructs.
        strategy: What trains the generator, such as an `HSFStrategy`; None: it is trained
            elsewhere, by another plugin such as `TaskInferencePlugin`, or is the learner's model.
        new_task: What a task is to the generator. "label": a task of the stream. "experience":
            every experience, numbered as it comes, for streams whose samples all have one label.
        repeats: Whether, under "label", several experiences may have the only label so far. By
            default a second one is refused: in a stream without labels all have the same.
        weight: Of one old task beside the new one, at least 0.
        batch_size: Samples drawn for each minibatch, at least 1; None: as many as it has. They
            are spread evenly over the finished tasks.
        targets: Of classes, "soft": the copy's probabilities at `temperature`; "hard": its
            likeliest class, under the strategy's own criterion.
        temperature: Above 0.
        confidence: Samples whose likeliest class has a lower probability are left out, above 0
            and at most 1; None: none are.
        seed: Seed of the draws, at least 0; if None it is drawn from torch's global generator.

    Attributes:
        finished: The learner's label of each finished task, by the generator's.

    Raises:
        TypeError, ValueError: An argument has the wrong type or is out of its range.

    Example:
        >>> from avalanche_hsf.training import HSFStrategy
        >>> hsf = HSFStrategy.from_preset(input_dim=64, train_epochs=1, evaluator=None)
        >>> plugin = GeneratedReplayPlugin(hsf.model, hsf, new_task="experience", seed=0)
        >>> plugin.finished
        {}
    """

    def __init__(
        self,
        generator: nn.Module,
        strategy: SupervisedTemplate | None = None,
        *,
        new_task: str = "label",
        repeats: bool = False,
        weight: float = 1.0,
        batch_size: int | None = None,
        targets: str = "soft",
        temperature: float = 2.0,
        confidence: float | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(generator, nn.Module) or not callable(getattr(generator, "sample", None)):
            raise TypeError(
                "generator must be a model with sample(n, task, generator=), such as a "
                f"HypernetSDEFlow, got {shown(generator)}"
            )
        if not getattr(generator, "reconstructs", True):
            raise ValueError(
                "the generator's samples are class scores or regression targets, not inputs: make "
                "its HypernetSDEFlow without output_dim"
            )
        self.generator = generator
        cure = f"{name}(strategy.model, strategy)"
        self.strategy = check_companion(strategy, generator, "generator", cure)
        self.new_task = check_choice("new_task", new_task, ("label", "experience"))
        self.weight = check_non_negative(f"weight of {name}", weight)
        self.batch_size = (
            None if batch_size is None else check_size(f"batch_size of {name}", batch_size)
        )
        self.targets = check_choice("targets", targets, TARGETS)
        self.temperature = check_positive("temperature", temperature)
        self.confidence = confidence
        if confidence is not None:
            self.confidence = check_share("confidence", confidence)
        self.draws = torch.Generator().manual_seed(resolve_seed(seed))
        self.finished: dict[int, int] = {}
        self._one_label = OneLabel(name, check_bool("repeats", repeats))
        self._before: nn.Module | None = None  # the learner when the last experience ended
        self._reconstructs = False
        self._target: Tensor | None = None  # of a sample of the stream

    def before_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Copies the learner, before the model grows by the new experience."""
        if self.finished and self.weight > 0:
            self._before = copy.deepcopy(strategy.model).eval().requires_grad_(False)

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Checks, before any training, that there is something to draw from.

        Raises:
            ValueError: The generator has never seen a finished task, makes samples of another size,
                or would be trained twice; or tasks cannot be told apart.
        """
        super().before_training_exp(strategy, **kwargs)
        check_one_owner(self, strategy)
        dataset = strategy.experience.dataset.eval()
        with generators_kept():  # a transformation may draw
            x, y = dataset[0][:2]
        same = isinstance(y, Tensor) and y.shape == x.shape and torch.equal(x, y)
        self._reconstructs = same or bool(getattr(strategy, "reconstructs", False))
        self._target = None if same else torch.as_tensor(y)
        if self.new_task == "experience":
            refuse_parts(strategy.experience)
        self._check_size(x)
        self._check_tasks(strategy)

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if not self.finished or self.weight == 0:
            return
        labels = list(self.finished)
        n = self.batch_size or len(strategy.mb_x)
        order = torch.randperm(len(labels), generator=self.draws)
        tasks = torch.tensor(labels)[order[torch.arange(n) % len(labels)]]
        x = self.sample(tasks, strategy)
        of_learner = torch.tensor([self.finished[int(task)] for task in tasks])
        # Unpacked as a minibatch of the stream, with a target of its kind, which is not used.
        y = x if self._target is None else self._target.expand(n, *self._target.shape)
        x, _, task_labels = unpacked(strategy, [x, y, of_learner])
        loss = self._loss(strategy, x, task_labels)
        if loss is not None:
            add_term(strategy, "generated", self.weight * len(labels) * loss)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Trains the generator on the experience and notes its tasks."""
        self._before = self._target = None
        experience = strategy.experience
        number = len(self.finished)
        if self.new_task == "experience":
            experience = relabelled(experience, number)
        train_companion(self.strategy, experience)
        for label in sorted(current_tasks(strategy)):
            self.finished[number if self.new_task == "experience" else label] = label
        self._one_label.note(experiences_in_training(strategy))

    def sample(self, tasks: Tensor, strategy: Any) -> Tensor:
        """Samples of the generator's tasks, in the shape of those of the minibatch."""
        model: Any = self._before if self.generator is strategy.model else self.generator
        seed = int(torch.randint(2**31, (), generator=self.draws))
        draws = torch.Generator(next(model.parameters()).device).manual_seed(seed)
        with evaluating(model):
            x = model.sample(len(tasks), tasks, generator=draws)
        shape = strategy.mb_x.shape[1:]
        if x[0].numel() != shape.numel():
            raise ValueError(_other_size(x[0].numel(), shape))
        return x.view(-1, *shape).to(strategy.mb_x)

    def _loss(self, strategy: Any, x: Tensor, task_labels: Tensor) -> Tensor | None:
        criterion = criterion_of(strategy)
        if self._reconstructs:
            output = avalanche_forward(strategy.model, x, task_labels)
            return criterion(output, x.view_as(output))
        with torch.no_grad():
            target = avalanche_forward(self._before, x, task_labels)
        if strategy.mb_y.is_floating_point():
            # Class scores with probabilities for targets; others are numbers, as the output is.
            if isinstance(criterion, nn.BCEWithLogitsLoss):
                target = target.sigmoid()
            elif isinstance(criterion, nn.CrossEntropyLoss):
                target = target.softmax(dim=1)
            return criterion(avalanche_forward(strategy.model, x, task_labels), target)
        if self.confidence is not None:
            sure = target.softmax(dim=1).amax(dim=1) >= self.confidence
            if not sure.any():
                return None
            x, target, task_labels = x[sure], target[sure], task_labels[sure.to(task_labels.device)]
        output = avalanche_forward(strategy.model, x, task_labels)
        if self.targets == "hard":
            return criterion(output, target.argmax(dim=1))
        return distillation(output, target, self.temperature)

    def _check_size(self, x: Any) -> None:
        size = getattr(self.generator, "input_dim", None)
        if isinstance(x, Tensor) and size is not None and x.numel() != size:
            raise ValueError(_other_size(size, x.shape))

    def _check_tasks(self, strategy: Any) -> None:
        known: Any = getattr(self.generator, "tasks", self.finished)
        for task in self.finished:
            if task not in known:
                raise ValueError(
                    f"the generator never saw task {task}, only {known}: give "
                    "GeneratedReplayPlugin the strategy that trains it, or train it before the "
                    "next experience"
                )
        labels = current_tasks(strategy)
        if self.new_task == "experience" and len(labels) > 1:
            raise ValueError(
                f"an experience of the tasks {sorted(labels)} cannot be one task of the "
                'generator: give GeneratedReplayPlugin new_task="label"'
            )
        if self.new_task == "label":
            self._one_label.check(experiences_in_training(strategy), self.finished)


def _other_size(size: int, shape: Any) -> str:
    return (
        f"the generator makes samples of {size} numbers, those of the stream have shape "
        f"{tuple(shape)}: train it on the same stream"
    )
