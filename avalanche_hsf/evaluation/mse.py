"""The mean squared error as Avalanche metrics."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.evaluation import GenericPluginMetric, Metric
from avalanche.logging import InteractiveLogger
from avalanche.training.plugins import EvaluationPlugin
from torch import Tensor


class MeanSquaredError(Metric[float]):
    """MSE = mean over samples and features of (output - target)^2, over any number of batches.

    Independent of the training loss: it compares what the strategy put out (`mb_output`) with
    its target (`mb_y`), whatever criterion it trains on.

    Example:
        >>> mse = MeanSquaredError()
        >>> mse.update(torch.zeros(2, 3), torch.ones(2, 3))
        >>> mse.result()
        1.0
    """

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


class _MSEPluginMetric(GenericPluginMetric):
    """`MeanSquaredError` over one span of the run."""

    name: str
    span: tuple[str, str, str]

    def __init__(self) -> None:
        reset_at, emit_at, mode = self.span
        super().__init__(MeanSquaredError(), reset_at=reset_at, emit_at=emit_at, mode=mode)

    def update(self, strategy: Any) -> None:
        self._metric.update(strategy.mb_output, strategy.mb_y)

    def __str__(self) -> str:
        return self.name


class MinibatchMSE(_MSEPluginMetric):
    """MSE of each training minibatch."""

    name, span = "MSE_MB", ("iteration", "iteration", "train")


class EpochMSE(_MSEPluginMetric):
    """MSE over each training epoch."""

    name, span = "MSE_Epoch", ("epoch", "epoch", "train")


class ExperienceMSE(_MSEPluginMetric):
    """MSE on each experience that is evaluated."""

    name, span = "MSE_Exp", ("experience", "experience", "eval")


class StreamMSE(_MSEPluginMetric):
    """MSE over all samples of the stream that is evaluated."""

    name, span = "MSE_Stream", ("stream", "stream", "eval")


def mse_metrics(
    *,
    minibatch: bool = False,
    epoch: bool = False,
    experience: bool = False,
    stream: bool = False,
) -> list[GenericPluginMetric]:
    """The chosen MSE metrics, to be passed to Avalanche's `EvaluationPlugin`.

    Args:
        minibatch: `MSE_MB`, after each training iteration.
        epoch: `MSE_Epoch`, after each training epoch.
        experience: `MSE_Exp`, after the evaluation of each experience.
        stream: `MSE_Stream`, after the evaluation of a stream.

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
    """What `HSFStrategy` reports unless told otherwise: the MSE, in the terminal.

    Avalanche's own default reports an accuracy, which means nothing for vector targets.
    """
    return EvaluationPlugin(
        mse_metrics(epoch=True, experience=True, stream=True), loggers=[InteractiveLogger()]
    )
