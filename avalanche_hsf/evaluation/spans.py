"""Any measure over a minibatch, an epoch, an experience or a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.evaluation import GenericPluginMetric

from avalanche_hsf.checks import check_bool
from avalanche_hsf.evaluation.measures import Measure, Measurement

SPANS: dict[str, tuple[str, str, str]] = {
    "minibatch": ("MB", "iteration", "train"),
    "epoch": ("Epoch", "epoch", "train"),
    "experience": ("Exp", "experience", "eval"),
    "stream": ("Stream", "stream", "eval"),
}
"""Avalanche's suffix, when to reset and emit, and the phase."""


class MeasureOver(GenericPluginMetric):
    """A measure over each span of a run, a name in `SPANS`; see `measure_metrics`."""

    def __init__(
        self, measure: Measure, span: str, *, higher_is_better: bool | None = None
    ) -> None:
        suffix, at, mode = SPANS[span]
        measurement = Measurement(measure, higher_is_better=higher_is_better)
        super().__init__(measurement, reset_at=at, emit_at=at, mode=mode)
        self.name = f"{measurement.name}_{suffix}"

    @property
    def higher_is_better(self) -> bool:
        return bool(self._metric.higher_is_better)

    def update(self, strategy: Any) -> None:
        self._metric.update(strategy.mb_output, strategy.mb_y)

    def __str__(self) -> str:
        return self.name


def measure_metrics(
    measure: Measure,
    *,
    higher_is_better: bool | None = None,
    minibatch: bool = False,
    epoch: bool = False,
    experience: bool = False,
    stream: bool = False,
) -> list[GenericPluginMetric]:
    """The chosen metrics of a measure, to be passed to Avalanche's `EvaluationPlugin`.

    Args:
        measure, higher_is_better: See `Measurement`.
        minibatch: `<name>_MB`, after each training iteration.
        epoch: `<name>_Epoch`, after each training epoch.
        experience: `<name>_Exp`, after the evaluation of each experience.
        stream: `<name>_Stream`, after the evaluation of a stream.

    Example:
        >>> from torch import nn
        >>> [str(metric) for metric in measure_metrics(nn.L1Loss(), experience=True, stream=True)]
        ['L1Loss_Exp', 'L1Loss_Stream']
    """
    chosen = {"minibatch": minibatch, "epoch": epoch, "experience": experience, "stream": stream}
    return [
        MeasureOver(measure, span, higher_is_better=higher_is_better)
        for span, wanted in chosen.items()
        if check_bool(span, wanted)
    ]


def make_chosen(chosen: Mapping[Any, bool], *args: Any, **kwargs: Any) -> list[Any]:
    """New metrics of the classes that are chosen."""
    return [
        metric(*args, **kwargs) for metric, wanted in chosen.items() if check_bool("a span", wanted)
    ]
