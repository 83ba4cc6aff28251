"""Forgetting and backward transfer of an error measure, as Avalanche metrics.

Avalanche's forgetting is the initial value minus the last, made for accuracies: on an error
measure what is forgotten comes out negative. Here the sign is turned, so that in this package
positive forgetting is worse, everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_utils import stream_type
from avalanche.evaluation.metrics.forgetting_bwt import (
    Forgetting,
    GenericExperienceForgetting,
    GenericStreamForgetting,
)

from avalanche_hsf.evaluation.mse import MeanSquaredError


class _OfMSE:
    """What the four metrics share; the rest is Avalanche's."""

    sign: float  # of R[j, j] - R[now, j], which Avalanche calls forgetting
    forgetting: Forgetting
    _current_metric: MeanSquaredError

    def __init__(self) -> None:
        super().__init__(MeanSquaredError())  # type: ignore[call-arg]
        # Avalanche 0.6 keys its memory by experience alone, so that evaluating a second stream
        # would overwrite the first one's.
        self._by_stream: dict[str, Forgetting] = defaultdict(Forgetting)

    def reset(self) -> None:
        """Forgets everything that was measured."""
        super().reset()  # type: ignore[misc]
        self._by_stream.clear()

    def before_eval(self, strategy: Any) -> None:
        super().before_eval(strategy)  # type: ignore[misc]
        for forgetting in self._by_stream.values():
            forgetting.reset_last()

    def before_eval_exp(self, strategy: Any) -> None:
        super().before_eval_exp(strategy)  # type: ignore[misc]
        self.forgetting = self._by_stream[stream_type(strategy.experience)]

    def result_key(self, k: int) -> float | None:
        """The value for experience k; None if k was not evaluated right after its training and
        again since."""
        difference = self.forgetting.result_key(k=k)
        return None if difference is None else self.sign * difference

    def metric_update(self, strategy: Any) -> None:
        self._current_metric.update(strategy.mb_output, strategy.mb_y)

    def metric_result(self, strategy: Any) -> float:
        return self._current_metric.result()

    def __str__(self) -> str:
        return type(self).__name__


class ExperienceMSEForgetting(_OfMSE, GenericExperienceForgetting):
    """Forgetting of an earlier experience j: F_j = R[now, j] - R[j, j]. Positive is worse.

    R[i, j] is the MSE on the evaluation experience j after training experience i. Reported for
    experiences trained before the last one, for each stream apart; an experience that is trained
    again counts from then on, as in Avalanche. (Avalanche's own sign, R[j, j] - R[now, j], would
    be negative for a model that forgets.)
    """

    sign = -1.0

    def result(self) -> dict[int, float]:
        """The value by experience."""
        return {k: self.sign * difference for k, difference in self.forgetting.result().items()}


class StreamMSEForgetting(_OfMSE, GenericStreamForgetting):
    """The mean of `ExperienceMSEForgetting` over the earlier experiences. Positive is worse.

    As in Avalanche it is 0 when no earlier experience was evaluated.
    """

    sign = -1.0


class ExperienceMSEBWT(ExperienceMSEForgetting):
    """Backward transfer to an earlier experience j: R[j, j] - R[now, j]. Positive is better."""

    sign = 1.0


class StreamMSEBWT(StreamMSEForgetting):
    """The mean of `ExperienceMSEBWT` over the earlier experiences. Positive is better."""

    sign = 1.0


def mse_forgetting_metrics(*, experience: bool = False, stream: bool = False) -> list[PluginMetric]:
    """The chosen forgetting metrics, positive is worse.

    Args:
        experience: `ExperienceMSEForgetting`.
        stream: `StreamMSEForgetting`.
    """
    chosen = {ExperienceMSEForgetting: experience, StreamMSEForgetting: stream}
    return [metric() for metric, wanted in chosen.items() if wanted]


def mse_bwt_metrics(*, experience: bool = False, stream: bool = False) -> list[PluginMetric]:
    """The chosen backward transfer metrics, positive is better.

    Args:
        experience: `ExperienceMSEBWT`.
        stream: `StreamMSEBWT`.
    """
    chosen = {ExperienceMSEBWT: experience, StreamMSEBWT: stream}
    return [metric() for metric, wanted in chosen.items() if wanted]
