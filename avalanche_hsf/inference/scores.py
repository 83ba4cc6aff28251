"""How well a task explains a sample: interchangeable scores, higher is better."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_bool, check_non_negative
from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.models.tasks.module import TaskModule
from avalanche_hsf.models.tasks.per_task import check_has

TINY = 1e-12
"""Keeps logarithms of exact reconstructions finite."""


class Score(nn.Module):
    """The base: `score(model, x, labels)` gives a number for each row under the task it names.

    A subclass defines `forward`. One that keeps something of each task takes it in `note`.

    Attributes:
        needs_density: Whether it asks for the density of a task's latents, fitted in training.
    """

    needs_density: bool = False

    def check(self, model: nn.Module) -> None:
        """Raises TypeError if a model cannot be asked."""

    def asks(self, model: Any) -> tuple[nn.Module, ...]:
        """The models whose weights its answers depend on."""
        return (model,)

    def note(self, label: int, x: Tensor) -> None:
        """Takes what it keeps of a task from the task's training samples."""

    def try_on(self, model: Any, x: Tensor, labels: Tensor) -> None:
        """As `forward`, before a task is trained: raises what can be known by then."""
        self(model, x, labels)

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        """Scores n rows, `n x *features`, each under the task of its label; shape (n,)."""
        raise NotImplementedError


class ReconstructionScore(Score):
    """-log of the error of the task's autoencoder, as a share of the sample's own variance.

    s = -log(mean (x^ - x)^2 / var x), both over the features of one sample. The variance is the
    same for all tasks, so it does not matter to which of them fits best; it makes the errors of
    faint and strong samples comparable, which tells what is new better.

    Source: the autoencoder gates of Aljundi et al. 2017, https://arxiv.org/abs/1611.06194.

    Args:
        relative: False leaves the variance out.
    """

    def __init__(self, *, relative: bool = True) -> None:
        super().__init__()
        self.relative = check_bool("relative", relative)

    def check(self, model: nn.Module) -> None:
        if isinstance(model, HypernetSDEFlow) and not model.reconstructs:
            raise TypeError(
                f"{type(self).__name__} needs a model that reconstructs its input; this "
                "HypernetSDEFlow has an output_dim: score it by EntropyScore"
            )

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        return self.of(model(x, labels), x)

    def of(self, reconstruction: Any, x: Tensor) -> Tensor:
        """The score of reconstructions, in the shape of x; shape (n,)."""
        shape = tuple(getattr(reconstruction, "shape", ()))
        if shape != tuple(x.shape):
            raise TypeError(
                f"{type(self).__name__} needs a model that reconstructs its input, but for x of "
                f"shape {tuple(x.shape)} it gives {shape or type(reconstruction).__name__}: score "
                "a classifier by EntropyScore"
            )
        error = (reconstruction - x).flatten(1).square().mean(dim=1)
        s = -(error + TINY).log()
        if self.relative:
            s = s + (x.flatten(1).var(dim=1, correction=0) + TINY).log()
        return s


class LikelihoodScore(Score):
    """log p(z0) of a `HypernetSDEFlow`, in nats."""

    needs_density = True

    def check(self, model: nn.Module) -> None:
        _check_is_flow(self, model)

    def try_on(self, model: Any, x: Tensor, labels: Tensor) -> None:
        model.encode(x, labels)  # whose density is fitted in the end

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        out: Tensor = model.log_prob(x, labels)
        return out


class JointScore(ReconstructionScore):
    """`ReconstructionScore` plus weight * log p(z0), from one pass of a `HypernetSDEFlow`.

    Args:
        weight: Of the log likelihood, in units of the first score per nat, at least 0.
    """

    def __init__(self, weight: float = 0.01, *, relative: bool = True) -> None:
        super().__init__(relative=relative)
        self.weight = check_non_negative("weight", weight)
        self.needs_density = self.weight > 0

    def check(self, model: nn.Module) -> None:
        _check_is_flow(self, model)
        super().check(model)

    def try_on(self, model: Any, x: Tensor, labels: Tensor) -> None:
        super().forward(model, x, labels)

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        if not self.needs_density:
            return super().forward(model, x, labels)
        out = model.forward_with_latents(x, labels)
        log_p = model.log_prob_of(out.z0, out.written)
        return self.of(out.reconstruction, x) + self.weight * log_p


class EntropyScore(Score):
    """Minus the entropy, in nats, of the classes that a task's classifier gives.

    A classifier is surest of what it was trained on, often. It is the cheapest score, since the
    classifier is there, and the weakest.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695, "HNET+ENT".
    """

    def check(self, model: nn.Module) -> None:
        if isinstance(model, HypernetSDEFlow) and model.reconstructs:
            raise TypeError(
                "EntropyScore needs a classifier, this HypernetSDEFlow reconstructs its input: "
                "give it an output_dim, or score it by JointScore or ReconstructionScore"
            )

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        out = model(x, labels)
        if getattr(out, "shape", None) == x.shape and getattr(model, "mask", None) is None:
            raise TypeError(
                f"EntropyScore needs a classifier, but for x of shape {tuple(x.shape)} the model "
                "gives the same shape, a reconstruction: score it by ReconstructionScore; make a "
                "classifier of as many classes with masking=True"
            )
        log_p = log_probabilities(type(self).__name__, out)
        return (log_p.exp() * log_p).sum(dim=1)


class AgreementScore(ReconstructionScore):
    """How far a task's classifier agrees on a sample and on its reconstruction.

    s = -KL(p(y | x) || p(y | x^)), in nats, plus weight * `ReconstructionScore`. A task that a
    sample is foreign to reconstructs it as something else.

    Args:
        classifier: A task-conditional classifier of the same tasks.
        weight: Of the reconstruction, at least 0.
    """

    classifier: TaskModule

    def __init__(self, classifier: TaskModule, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = check_non_negative("weight", weight)
        if not isinstance(classifier, TaskModule):
            raise TypeError(
                "classifier must have weights for each task, as a TaskConditional, got "
                f"{type(classifier).__name__}"
            )
        # Not a child module: whoever owns the classifier saves and trains it.
        self.__dict__["classifier"] = classifier

    def asks(self, model: Any) -> tuple[nn.Module, ...]:
        return model, self.classifier

    def note(self, label: int, x: Tensor) -> None:
        check_has(label, self.classifier.tasks, "classifier")

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        reconstruction = model(x, labels)
        s = self.of(reconstruction, x)
        name, classifier = type(self).__name__, self.classifier
        with evaluating(classifier):
            seen = log_probabilities(name, classifier(x, labels))
            redrawn = log_probabilities(name, classifier(reconstruction, labels))
        return self.weight * s - (seen.exp() * (seen - redrawn)).sum(dim=1)


class PrototypeScore(Score):
    """-log of the mean squared distance to the mean of the task's training samples.

    No pass through a network at all: of use as the first of two stages. It keeps one sample's
    numbers for each task.
    """

    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.labels: list[int] = []
        self.register_buffer("means", torch.zeros(0))
        self.register_load_state_dict_pre_hook(_make_room)

    def asks(self, model: Any) -> tuple[nn.Module, ...]:
        return ()

    @torch.no_grad()
    def note(self, label: int, x: Tensor) -> None:
        mean = x.mean(dim=0, keepdim=True)
        if label in self.labels:
            self.means[self.labels.index(label)] = mean[0]
        else:
            self.labels.append(label)
            self.means = torch.cat((self.means, mean)) if len(self.means) else mean

    def try_on(self, model: Any, x: Tensor, labels: Tensor) -> None:
        """Nothing to try: no model is asked."""

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        tasks, group = labels.unique(return_inverse=True)
        rows = self._rows(tasks.tolist())
        distance = (x - self.means[rows].to(x)[group]).flatten(1).square().mean(dim=1)
        return -(distance + TINY).log()

    def _rows(self, tasks: list[int]) -> list[int]:
        for task in tasks:
            check_has(task, self.labels, "prototype")
        return [self.labels.index(task) for task in tasks]

    def get_extra_state(self) -> list[int]:
        return list(self.labels)

    def set_extra_state(self, state: list[int]) -> None:
        self.labels = list(state)


def _make_room(score: PrototypeScore, state: Any, prefix: str, *_: Any) -> None:
    if f"{prefix}means" in state:
        score.means = score.means.new_empty(state[f"{prefix}means"].shape)


def default_score(model: Any) -> Score:
    """`JointScore` for a `HypernetSDEFlow` that reconstructs, otherwise `ReconstructionScore`."""
    has_density = isinstance(model, HypernetSDEFlow) and model.reconstructs
    return check_score(JointScore() if has_density else ReconstructionScore(), model)


def check_score(score: object, model: nn.Module) -> Score:
    """TypeError unless it is a score that a model can be asked by."""
    if not isinstance(score, Score):
        raise TypeError(f"a score must be a Score, got {type(score).__name__}")
    score.check(model)
    return score


def log_probabilities(who: str, scores: Any) -> Tensor:
    """Of class scores, a `n x n_classes` tensor, the logarithms of the classes' probabilities.

    Raises:
        TypeError: They are no class scores.
    """
    if not isinstance(scores, Tensor) or scores.dim() != 2 or scores.shape[1] < 2:
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise TypeError(f"{who} needs a classifier, whose output is (n, n_classes), got {got}")
    return scores.log_softmax(dim=1).clamp(min=-1e3)  # a masked class times its log is 0, not NaN


def _check_is_flow(score: Score, model: nn.Module) -> None:
    if not isinstance(model, HypernetSDEFlow):
        raise TypeError(
            f"{type(score).__name__} needs a HypernetSDEFlow, which has a density, got "
            f"{type(model).__name__}: score it by ReconstructionScore or EntropyScore"
        )
