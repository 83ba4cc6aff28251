"""Conflict between the gradients of the current and of old tasks, over training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from torch import Tensor

from avalanche_hsf.analysis.components import Components
from avalanche_hsf.analysis.gradients import Loss, gradient_conflict, loss_on
from avalanche_hsf.analysis.watch import metric_values
from avalanche_hsf.checks import check_int


class GradientConflict(PluginMetric[dict]):
    """Cosine between the gradients of the current task and of each old one, by component.

    Emitted after epochs of training as `GradientConflict_Epoch/.../Exp<k>/<component>`; see
    `gradient_conflict`. To be passed to Avalanche's `EvaluationPlugin`.

    Args:
        stream: The experiences to measure on, by their index, such as the train stream. This uses
            data of old tasks, so it is for analysis, not for a learner.
        components: See `find_components`.
        criterion: See `loss_on`.
        every: Epochs between two measurements, at least 1.
        n_samples: Samples per experience at most.
    """

    def __init__(
        self,
        stream: Sequence[Any],
        components: Components | None = None,
        *,
        criterion: Callable[[Tensor, Tensor], Tensor] | None = None,
        every: int = 1,
        n_samples: int = 512,
    ) -> None:
        super().__init__()
        self.components = components
        self.every = check_int("every", every, at_least=1)
        self._losses: list[Loss] = [
            loss_on(experience, criterion, n_samples=n_samples) for experience in stream
        ]
        self.reset()

    def reset(self) -> None:
        """Forgets the last measurement."""
        self._last: dict[str, float] = {}

    def result(self) -> dict[str, float]:
        """The last measurement, by "Exp<k>/<component>"."""
        return dict(self._last)

    def after_training_epoch(self, strategy: Any) -> list[MetricValue] | None:
        if strategy.clock.train_exp_epochs % self.every:
            return None
        current = strategy.experience.current_experience
        self._last = {
            f"Exp{old}/{component}": cosine
            for old in range(current)
            for component, cosine in gradient_conflict(
                strategy.model, self._losses[current], self._losses[old], components=self.components
            ).items()
        }
        return metric_values(self, strategy, "GradientConflict_Epoch", self._last) or None

    def __str__(self) -> str:
        return "GradientConflict_Epoch"
