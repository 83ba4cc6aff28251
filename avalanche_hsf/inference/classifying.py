"""Scores that a classifier gives: how sure it is, and how far it agrees on a reconstruction."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_bool, check_non_negative
from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.inference.scores import ReconstructionScore, Score
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.models.tasks.module import TaskModule
from avalanche_hsf.models.tasks.per_task import check_has


class EntropyScore(Score):
    """Minus the entropy, in nats, of the classes that a task's classifier gives.

    A classifier is surest of what it was trained on, often. It is the cheapest score, since the
    classifier is there, and the weakest.

    A task of fewer classes has less entropy to lose and is favoured; a task of one has none at all
    and is refused.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695, "HNET+ENT".

    Args:
        relative: Takes the entropy as a share of its greatest value, the logarithm of the number
            of the task's classes, for tasks that have different numbers of them: .78 of digits
            were told right in place of .70, in tasks of two, three and five classes, and .82 with
            a recognizer that is `calibrated`, either way.
    """

    def __init__(self, *, relative: bool = False) -> None:
        super().__init__()
        self.relative = check_bool("relative", relative)

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
        s = (log_p.exp() * log_p).sum(dim=1)
        n = _n_classes(model, labels, out)
        if bool((n < 2).any()):
            raise ValueError(
                f"task {int(labels[n < 2][0])} has one class, which a classifier is always sure "
                "of, so that the entropy tells nothing: score by ReconstructionScore of an "
                "autoencoder, or by SubspaceScore"
            )
        return s / n.log() if self.relative else s


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


def log_probabilities(who: str, scores: Any) -> Tensor:
    """Of class scores, a `n x n_classes` tensor, the logarithms of the classes' probabilities.

    Raises:
        TypeError: They are no class scores.
    """
    if not isinstance(scores, Tensor) or scores.dim() != 2 or scores.shape[1] < 2:
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise TypeError(f"{who} needs a classifier, whose output is (n, n_classes), got {got}")
    return scores.log_softmax(dim=1).clamp(min=-1e3)  # a masked class times its log is 0, not NaN


def _n_classes(model: Any, labels: Tensor, scores: Tensor) -> Tensor:
    """How many classes the task of each row has, shape (n,)."""
    of_task = getattr(getattr(model, "mask", None), "classes_of", {})
    tasks, group = labels.unique(return_inverse=True)
    n = [len(of_task.get(task, ())) or scores.shape[1] for task in tasks.tolist()]
    return torch.tensor(n, device=labels.device)[group]
