"""Conflict between the gradients of the current and of old tasks, over training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from avalanche.evaluation.metric_results import MetricValue
from torch import Tensor

from avalanche_hsf._private.avalanche import criterion_of
from avalanche_hsf.analysis.components import Components, check_components
from avalanche_hsf.analysis.data import check_data
from avalanche_hsf.analysis.errors import Criterion
from avalanche_hsf.analysis.gradients import Loss, gradient_conflict, loss_on
from avalanche_hsf.analysis.watch import WatchMetric
from avalanche_hsf.checks import check_criterion_type, check_int, shown


class GradientConflict(WatchMetric):
    """Cosine between the gradients of the current task and of each old one, by component.

    Emitted after epochs of training as `GradientConflict_Epoch/.../Exp<k>/<component>`, and
    `result()` by "Exp<k>/<component>"; see `gradient_conflict`. To be passed to Avalanche's
    `EvaluationPlugin`.

    Args:
        stream: The experiences to measure on, by their index, such as the train stream. This uses
            data of old tasks, so it is for analysis, not for a learner.
        components: See `find_components`.
        criterion: Of output and target; by default the strategy's.
        n_samples: Samples per experience, see `loss_on`.
        every: Epochs between two measurements, at least 1.
    """

    def __init__(
        self,
        stream: Sequence[Any],
        components: Components | None = None,
        *,
        criterion: Criterion | None = None,
        every: int = 1,
        n_samples: int = 512,
    ) -> None:
        super().__init__(every=every)
        check_components(components)
        if not isinstance(stream, Iterable) or isinstance(stream, Tensor):
            raise TypeError(f"stream must be a stream of experiences, got {shown(stream)}")
        for experience in stream:
            check_data(experience)
        self.components = components
        self._stream = stream
        self._n_samples = check_int("n_samples", n_samples, at_least=1)
        self._criterion = check_criterion_type("criterion", criterion)
        self._losses: list[Loss] = []

    def after_training_epoch(self, strategy: Any) -> list[MetricValue] | None:
        if strategy.clock.train_exp_epochs % self.every:
            return None
        if not self._losses:
            criterion = self._criterion or criterion_of(strategy)
            self._losses = [loss_on(e, criterion, n_samples=self._n_samples) for e in self._stream]
        current = strategy.experience.current_experience
        self._last = {
            f"Exp{old}/{component}": cosine
            for old in range(current)
            for component, cosine in gradient_conflict(
                strategy.model, self._losses[current], self._losses[old], components=self.components
            ).items()
        }
        return self.values(strategy, "GradientConflict_Epoch", self._last) or None
