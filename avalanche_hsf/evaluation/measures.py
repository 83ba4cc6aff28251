"""Measures: torchmetrics, losses and Avalanche metrics behind one interface."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, TypeAlias

import torch
from avalanche.evaluation import Metric, PluginMetric
from torch import Tensor, nn
from torchmetrics import Metric as TorchMetric

from avalanche_hsf.checks import shown
from avalanche_hsf.evaluation.errors import MeanError

Measure: TypeAlias = TorchMetric | Metric | Callable[[Tensor, Tensor], Tensor]
"""A torchmetrics metric, a loss (a module or a function of output and target), or an Avalanche
metric such as `Accuracy`: `update(output, target)`, `result()`, `reset()`, and perhaps a `name`
for loggers and `higher_is_better`. See `Measurement`."""


class Measurement(Metric[float]):
    """A measure over any number of minibatches, with a state of its own.

    A loss is averaged over minibatches, weighted by their rows, in float64. One with
    `reduction="sum"` is divided by the rows; one value per row, as with `reduction="none"`, is
    averaged. (A mean with class weights depends on the minibatches; use "none".)

    Args:
        measure: Copied, so that several metrics can share one object.
        higher_is_better: Default: the measure's own attribute; False for a loss.

    Attributes:
        higher_is_better: Whether forgetting makes it smaller.
        name: What loggers call it: the measure's `name`, or the name of its class or function.

    Raises:
        TypeError: It is none of the three, or higher_is_better is no bool.
        ValueError: Neither the measure nor `higher_is_better` says whether higher is better.

    Example:
        >>> error = Measurement(nn.L1Loss())
        >>> error.update(torch.zeros(2, 3), torch.ones(2, 3))
        >>> error.result(), error.name
        (1.0, 'L1Loss')
    """

    def __init__(self, measure: Measure, *, higher_is_better: bool | None = None) -> None:
        self.name = _name_of(measure)
        self._metric = _updatable(measure, self.name)
        if higher_is_better is None:
            higher_is_better = getattr(self._metric, "higher_is_better", None)
        if higher_is_better is None:
            raise ValueError(
                f"{self.name} does not say whether higher is better; set higher_is_better"
            )
        if not isinstance(higher_is_better, bool):
            raise TypeError(
                f"higher_is_better must be True or False, got {shown(higher_is_better)}"
            )
        self.higher_is_better = higher_is_better
        self.reset()

    @torch.no_grad()
    def update(self, output: Tensor, target: Tensor) -> None:
        if isinstance(self._metric, nn.Module):
            self._metric.to(output.device)
        self._metric.update(output, target)
        self._is_empty = False

    def result(self) -> float:
        """The value since the last reset, NaN without a minibatch; TypeError if it is no scalar."""
        if self._is_empty:
            return float("nan")
        is_torch = isinstance(self._metric, TorchMetric)
        value = self._metric.compute() if is_torch else self._metric.result()
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"{self.name} must give one number, got {value!r}; give a measure that averages"
            ) from None

    def reset(self) -> None:
        self._metric.reset()
        self._is_empty = True


class _MeanLoss(MeanError):
    def __init__(self, loss: Callable[[Tensor, Tensor], Any], name: str) -> None:
        self._loss = deepcopy(loss) if isinstance(loss, nn.Module) else loss
        self._name = name
        self._is_sum = getattr(loss, "reduction", None) == "sum"
        super().__init__()

    def update(self, output: Tensor, target: Tensor) -> None:
        if isinstance(self._loss, nn.Module):
            self._loss.to(output.device)
        n = len(output)
        value = torch.as_tensor(self._value(output, target)).double()
        if value.numel() != 1 and value.shape[:1] != (n,):
            raise ValueError(
                f"{self._name} must give a scalar or one value per row, got {tuple(value.shape)} "
                f"for {n} rows"
            )
        self._sum += float(value.sum() if self._is_sum else value.mean() * n)
        self._count += n

    def _value(self, output: Tensor, target: Tensor) -> Any:
        message = (
            f"{self._name} needs outputs in the shape of their targets, got {tuple(output.shape)} "
            f"and {tuple(target.shape)}"
        )
        same_size = target.is_floating_point() and output.numel() == target.numel()
        if same_size and output.shape != target.shape:
            raise ValueError(message)  # (n, 1) and (n,) would be broadcast to (n, n)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Using a target size")  # torch warns and broadcasts
            try:
                return self._loss(output, target)
            except UserWarning:
                raise ValueError(message) from None


def _updatable(measure: Measure, name: str) -> Any:
    """A copy that starts empty."""
    if isinstance(measure, type):
        raise TypeError(f"a measure must be an instance, got the class {name}; give {name}(...)")
    if isinstance(measure, PluginMetric):
        raise TypeError(f"{name} is a plugin metric; give the metric that it is made of")
    if isinstance(measure, TorchMetric):
        return measure.clone()
    if hasattr(measure, "compute"):
        raise TypeError(f"{name} must give one number; give one metric at a time")
    if all(callable(getattr(measure, method, None)) for method in ("update", "result", "reset")):
        return deepcopy(measure)
    if callable(measure):
        return _MeanLoss(measure, name)
    raise TypeError(
        f"a measure must be a torchmetrics metric, a loss or an Avalanche metric, got "
        f"{shown(measure)}"
    )


def _name_of(measure: Any) -> str:
    if isinstance(measure, partial):
        return _name_of(measure.func)
    name = getattr(measure, "name", None) or getattr(measure, "__name__", None)
    return name.strip("<>") if isinstance(name, str) else type(measure).__name__
