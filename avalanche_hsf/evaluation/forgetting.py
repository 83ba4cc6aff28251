"""Forgetting and backward transfer of any measure, as Avalanche metrics.

Avalanche's forgetting is the initial value minus the last, made for accuracies: on an error
measure what is forgotten comes out negative. Here the sign follows the measure, so that in this
package positive forgetting is worse, everywhere.
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

from avalanche_hsf.evaluation.errors import MeanSquaredError
from avalanche_hsf.evaluation.measures import Measure, Measurement
from avalanche_hsf.evaluation.spans import make_chosen


class _OfMeasure:
    """The base of the four metrics; the rest is Avalanche's."""

    kind = "Forgetting"
    span: str
    forgetting: Forgetting
    _current_metric: Measurement

    def __init__(self, measure: Measure, *, higher_is_better: bool | None = None) -> None:
        measurement = Measurement(measure, higher_is_better=higher_is_better)
        super().__init__(measurement)  # type: ignore[call-arg]
        # Of R[j, j] - R[now, j], which Avalanche calls forgetting.
        is_forgetting = self.kind == "Forgetting"
        self._sign = 1.0 if is_forgetting == measurement.higher_is_better else -1.0
        # Avalanche 0.6 keys its memory by experience alone, so a second stream would overwrite it.
        self._by_stream: dict[str, Forgetting] = defaultdict(Forgetting)

    def reset(self) -> None:
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
        """The value for experience k; None unless evaluated right after its training and since."""
        difference = self.forgetting.result_key(k=k)
        return None if difference is None else self._sign * difference

    def metric_update(self, strategy: Any) -> None:
        self._current_metric.update(strategy.mb_output, strategy.mb_y)

    def metric_result(self, strategy: Any) -> float:
        return self._current_metric.result()

    def __str__(self) -> str:
        return f"{self.span}{self._current_metric.name}{self.kind}"


class ExperienceForgetting(_OfMeasure, GenericExperienceForgetting):
    """Forgetting of an earlier experience j: F_j = R[now, j] - R[j, j]. Positive is worse.

    R[i, j] is the measure on the evaluation experience j after training experience i; where higher
    is better, F_j has the other sign. Reported for experiences trained before the last one, per
    stream; an experience that is trained again counts from then on, as in Avalanche.

    Args:
        measure, higher_is_better: See `Measurement`.
    """

    span = "Experience"

    def result(self) -> dict[int, float]:
        """The value by experience."""
        return {k: self._sign * difference for k, difference in self.forgetting.result().items()}


class StreamForgetting(_OfMeasure, GenericStreamForgetting):
    """The mean of `ExperienceForgetting` over the earlier experiences. Positive is worse.

    NaN (in Avalanche's own: 0) when no earlier experience was evaluated both right after its
    training and now.
    """

    span = "Stream"

    def result(self) -> float:
        return super().result() if self.forgetting.result() else float("nan")


class ExperienceBWT(ExperienceForgetting):
    """Backward transfer to an earlier experience: -`ExperienceForgetting`. Positive is better."""

    kind = "BWT"


class StreamBWT(StreamForgetting):
    """The mean of `ExperienceBWT` over the earlier experiences. Positive is better; NaN of none."""

    kind = "BWT"


class _OfMSE:
    def __init__(self) -> None:
        super().__init__(MeanSquaredError())  # type: ignore[call-arg]


class ExperienceMSEForgetting(_OfMSE, ExperienceForgetting):
    """`ExperienceForgetting` of the MSE."""


class StreamMSEForgetting(_OfMSE, StreamForgetting):
    """`StreamForgetting` of the MSE."""


class ExperienceMSEBWT(_OfMSE, ExperienceBWT):
    """`ExperienceBWT` of the MSE."""


class StreamMSEBWT(_OfMSE, StreamBWT):
    """`StreamBWT` of the MSE."""


def measure_forgetting_metrics(
    measure: Measure,
    *,
    higher_is_better: bool | None = None,
    experience: bool = False,
    stream: bool = False,
) -> list[PluginMetric]:
    """`ExperienceForgetting` and `StreamForgetting` as chosen; positive is worse."""
    chosen = {ExperienceForgetting: experience, StreamForgetting: stream}
    return make_chosen(chosen, measure, higher_is_better=higher_is_better)


def measure_bwt_metrics(
    measure: Measure,
    *,
    higher_is_better: bool | None = None,
    experience: bool = False,
    stream: bool = False,
) -> list[PluginMetric]:
    """`ExperienceBWT` and `StreamBWT` as chosen; positive is better."""
    chosen = {ExperienceBWT: experience, StreamBWT: stream}
    return make_chosen(chosen, measure, higher_is_better=higher_is_better)


def mse_forgetting_metrics(*, experience: bool = False, stream: bool = False) -> list[PluginMetric]:
    """`ExperienceMSEForgetting` and `StreamMSEForgetting` as chosen; positive is worse."""
    return make_chosen({ExperienceMSEForgetting: experience, StreamMSEForgetting: stream})


def mse_bwt_metrics(*, experience: bool = False, stream: bool = False) -> list[PluginMetric]:
    """`ExperienceMSEBWT` and `StreamMSEBWT` as chosen; positive is better."""
    return make_chosen({ExperienceMSEBWT: experience, StreamMSEBWT: stream})
