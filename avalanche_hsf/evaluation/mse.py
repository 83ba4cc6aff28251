"""The mean squared error as Avalanche metrics."""

from __future__ import annotations

import torch
from avalanche.evaluation import GenericPluginMetric, Metric
from avalanche.logging import InteractiveLogger
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor

from avalanche_hsf.evaluation.spans import MeasureOver


class MeanSquaredError(Metric[float]):
    """MSE = mean over samples and features of (output - target)^2, over any number of batches.

    Independent of the training loss: it compares the output (`mb_output`) with the target
    (`mb_y`), whatever the criterion.

    Example:
        >>> mse = MeanSquaredError()
        >>> mse.update(torch.zeros(2, 3), torch.ones(2, 3))
        >>> mse.result()
        1.0
    """

    name = "MSE"
    higher_is_better = False

    def __init__(self) -> None:
        self.reset()

    @torch.no_grad()
    def update(self, output: Tensor, target: Tensor) -> None:
        """Adds a batch.

        Args:
            output: A `n x *features` tensor.
            target: A tensor of the same shape.

        Raises:
            ValueError: The shapes differ.
        """
        if output.shape != target.shape:
            raise ValueError(
                f"the MSE needs outputs in the shape of their targets, got {tuple(output.shape)} "
                f"and {tuple(target.shape)}"
            )
        self._summed += float((output - target).double().square().sum())
        self._count += output.numel()

    def result(self) -> float:
        """The MSE since the last reset; NaN if there was no batch."""
        return self._summed / self._count if self._count else float("nan")

    def reset(self) -> None:
        """Forgets all batches."""
        self._summed = 0.0
        self._count = 0


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
    *,
    minibatch: bool = False,
    epoch: bool = False,
    experience: bool = False,
    stream: bool = False,
) -> list[GenericPluginMetric]:
    """`measure_metrics` of the MSE: `MSE_MB`, `MSE_Epoch`, `MSE_Exp`, `MSE_Stream`.

    Example:
        >>> [str(metric) for metric in mse_metrics(experience=True, stream=True)]
        ['MSE_Exp', 'MSE_Stream']
    """
    chosen = {
        MinibatchMSE: minibatch,
        EpochMSE: epoch,
        ExperienceMSE: experience,
        StreamMSE: stream,
    }
    return [metric() for metric, wanted in chosen.items() if wanted]


def default_evaluator() -> EvaluationPlugin:
    """The evaluator of an `HSFStrategy` by default: the MSE, in the terminal.

    Avalanche's own default reports an accuracy, which means nothing for vector targets.
    """
    return EvaluationPlugin(
        mse_metrics(epoch=True, experience=True, stream=True), loggers=[InteractiveLogger()]
    )
