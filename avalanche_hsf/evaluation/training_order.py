"""Which experiences were trained, and when each training ended."""

from __future__ import annotations

from typing import Any

from avalanche.evaluation import PluginMetric


class TrainingOrder(PluginMetric[list[int | None]]):
    """The indices of the trained experiences, in the order in which their training ended.

    None stands for an experience of no stream.

    Metrics of experiences count iterations, and say nowhere which experience was trained before
    them. `summary` asks this one. `quiet_evaluator`, `default_evaluator` and `ErrorMatrix` have it.

    Example:
        >>> from avalanche.evaluation.metrics import accuracy_metrics
        >>> from avalanche.training.plugins import EvaluationPlugin
        >>> evaluator = EvaluationPlugin(accuracy_metrics(experience=True), TrainingOrder())
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        self._experiences: list[int | None] = []
        self._ends: list[int] = []

    def result(self) -> list[int | None]:
        return list(self._experiences)

    @property
    def ends(self) -> list[int]:
        """`strategy.clock.train_iterations` at the end of each of them."""
        return list(self._ends)

    def after_training_exp(self, strategy: Any) -> None:
        self._experiences.append(index_of(strategy.experience))
        self._ends.append(strategy.clock.train_iterations)

    def __str__(self) -> str:
        return "TrainingOrder"


def index_of(experience: Any) -> int | None:
    """Its place in its stream, if it has one; of a part (of an online stream) that of the whole."""
    logged = experience.logging() if hasattr(experience, "logging") else experience
    whole = getattr(logged, "origin_experience", logged)
    return getattr(whole, "current_experience", None)
