"""How well a task explains a sample: interchangeable scores, higher is better."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_bool, check_non_negative
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.models.tasks.per_task import check_has

TINY = 1e-12
"""Keeps logarithms of exact reconstructions finite."""
FAINT = 1e-8
"""Mean squares below lose the better reconstructions beside `TINY`."""


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

    def note(self, label: int, x: Tensor) -> None:
        check_scale(label, x)

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


def check_scale(label: int, x: Tensor) -> None:
    """ValueError for samples so faint that the errors of good reconstructions are lost."""
    size = float(x.double().square().mean())
    if 0 < size < FAINT:
        raise ValueError(
            f"the samples of task {label} are of the order of {size**0.5:.0e}, so that errors of "
            f"reconstruction drown in the {TINY:g} that is added to them: scale the samples, "
            "for all tasks alike"
        )


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


def _check_is_flow(score: Score, model: nn.Module) -> None:
    if not isinstance(model, HypernetSDEFlow):
        raise TypeError(
            f"{type(score).__name__} needs a HypernetSDEFlow, which has a density, got "
            f"{type(model).__name__}: score it by ReconstructionScore or EntropyScore"
        )
