"""The mean squared error as Avalanche plugin metrics."""

from __future__ import annotations

from avalanche.evaluation import GenericPluginMetric
from avalanche.training.plugins import EvaluationPlugin

from avalanche_hsf.evaluation.errors import MeanSquaredError
from avalanche_hsf.evaluation.spans import MeasureOver, make_chosen
from avalanche_hsf.evaluation.training_order import TrainingOrder
from avalanche_hsf.logging import CompactLogger


class _MSEOver(MeasureOver):
    span: str

    def __init__(self) -> None:
        super().__init__(MeanSquaredError(), self.span)


class MinibatchMSE(_MSEOver):
    """MSE of each training minibatch."""

    span = "minibatch"


class EpochMSE(_MSEOver):
    """MSE over each training epoch."""

    span = "epoch"


class ExperienceMSE(_MSEOver):
    """MSE on each experience that is evaluated."""

    span = "experience"


class StreamMSE(_MSEOver):
    """MSE over all samples of the stream that is evaluated."""

    span = "stream"


def mse_metrics(
    *, minibatch: bool = False, epoch: bool = False, experience: bool = False, stream: bool = False
) -> list[GenericPluginMetric]:
    """`measure_metrics` of the MSE: `MSE_MB`, `MSE_Epoch`, `MSE_Exp`, `MSE_Stream`.

    Example:
        >>> [str(metric) for metric in mse_metrics(experience=True, stream=True)]
        ['MSE_Exp', 'MSE_Stream']
    """
    spans = {MinibatchMSE: minibatch, EpochMSE: epoch, ExperienceMSE: experience, StreamMSE: stream}
    return make_chosen(spans)


def default_evaluator() -> EvaluationPlugin:
    """The evaluator of an `HSFStrategy` by default: the MSE, a few lines per experience.

    Avalanche's own default reports an accuracy, which means nothing for vector targets.
    """
    metrics = mse_metrics(epoch=True, experience=True, stream=True)
    return EvaluationPlugin(metrics, TrainingOrder(), loggers=[CompactLogger()])
