"""Which experiences were trained, and when each training ended."""

from __future__ import annotations

from typing import Any

from avalanche.evaluation import PluginMetric

from avalanche_hsf._private.avalanche import experiences_in_training


class TrainingOrder(PluginMetric[list[int]]):
    """The indices of the trained experiences, in the order in which their training ended.

    Metrics of experiences count iterations, and say nowhere which experience was trained before
    them. `summary` asks this one. `quiet_evaluator`, `default_evaluator` and `ErrorMatrix` have it.
    Of an online stream it has the experiences that the parts are of; of `JointTraining` all.

    Example:
        >>> from avalanche.evaluation.metrics import accuracy_metrics
        >>> from avalanche.training.plugins import EvaluationPlugin
        >>> evaluator = EvaluationPlugin(accuracy_metrics(experience=True), TrainingOrder())
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        self._trained: list[tuple[list[int], int]] = []

    def result(self) -> list[int]:
        return [j for indices, _ in self._trained for j in indices]

    @property
    def n_trained(self) -> int:
        """How often training ended."""
        return len(self._trained)

    @property
    def ends(self) -> dict[int, int]:
        """`strategy.clock.train_iterations` when the last training of each experience ended."""
        return {j: end for indices, end in self._trained for j in indices}

    def after_training_exp(self, strategy: Any) -> None:
        self._trained.append((trained_by(strategy), strategy.clock.train_iterations))

    def __str__(self) -> str:
        return "TrainingOrder"


def trained_by(strategy: Any) -> list[int]:
    """The indices of the experiences in training, of those that are part of a stream."""
    indices = map(_index_of, experiences_in_training(strategy))
    return [index for index in indices if index is not None]


def _index_of(experience: Any) -> int | None:
    logged = experience.logging() if hasattr(experience, "logging") else experience
    whole = getattr(logged, "origin_experience", logged)
    return getattr(whole, "current_experience", None)
