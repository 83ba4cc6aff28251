"""A learning rate that rises, falls and starts anew with each experience."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

from avalanche.training.plugins import LRSchedulerPlugin

from avalanche_hsf.checks import check_bool, check_int
from avalanche_hsf.training.plugins.base import Protection


class CosineRestartPlugin(Protection):
    r"""Each experience has a fresh optimizer and a warm-up, then a cosine to zero.

    lr(epoch) = lr * min(1, (epoch + 1) / warmup) * (1 + cos(pi * epoch / epochs)) / 2

    For any supervised strategy. (Under Avalanche 0.6's `LRSchedulerPlugin` every warm-up except
    the first begins with a step at the full rate.)

    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983

    Args:
        warmup: Epochs until the full learning rate, at least 1; at most a tenth of an experience.
        restart: Drop the optimizer's state before each experience.
    """

    excludes = MappingProxyType({LRSchedulerPlugin: "both set the learning rate"})

    def __init__(self, warmup: int = 20, *, restart: bool = True) -> None:
        super().__init__()
        self.warmup = check_int("warmup", warmup, at_least=1)
        self.restart = check_bool("restart", restart)
        self._full: list[float] = []

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Drops the old state; raises, before any training, if another sets the rate too."""
        super().before_training_exp(strategy, **kwargs)
        groups = strategy.optimizer.param_groups
        if len(self._full) != len(groups):
            self._full = [group["lr"] for group in groups]
        if self.restart:
            strategy.optimizer.state.clear()
            for group in groups:
                group.pop("step", None)  # where some optimizers count, SOAP for one

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        epoch, epochs = strategy.clock.train_exp_epochs, strategy.train_epochs
        warmup = max(1, min(self.warmup, epochs // 10))
        factor = min(1.0, (epoch + 1) / warmup) * (1 + math.cos(math.pi * epoch / epochs)) / 2
        for group, full in zip(strategy.optimizer.param_groups, self._full, strict=True):
            group["lr"] = factor * full

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        for group, full in zip(strategy.optimizer.param_groups, self._full, strict=True):
            group["lr"] = full
