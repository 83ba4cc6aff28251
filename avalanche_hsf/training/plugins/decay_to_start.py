"""Weight decay towards the weights that a new task starts from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avalanche_hsf.checks import check_non_negative
from avalanche_hsf.training.plugins.base import Protection


class DecayToStartPlugin(Protection):
    """Weight decay towards zero in the first experience, towards the starting point in later ones.

    w <- w - lr * decay * (w - start) after each step, decoupled from the gradient as in AdamW.
    With weights that start at those of an earlier task (`WarmStartPlugin`) that task becomes the
    prior of the new one, which helps where samples are few.

    For any supervised strategy. Stores nothing between tasks.

    Source: Li et al. 2018 (L2-SP), https://arxiv.org/abs/1802.01483, decoupled from the gradient.

    Args:
        first: The decay in the first experience, at least 0.
        later: In later ones, at least 0.
    """

    def __init__(self, first: float = 1.0, later: float = 3.0) -> None:
        super().__init__()
        self.first = check_non_negative("first decay of DecayToStartPlugin", first)
        self.later = check_non_negative("later decay of DecayToStartPlugin", later)
        self._start: dict[Tensor, Tensor] = {}

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Records where each parameter starts, after all other plugins have set it."""
        if strategy.clock.train_exp_epochs > 0:
            return
        parameters = (p for group in strategy.optimizer.param_groups for p in group["params"])
        is_first = strategy.clock.train_exp_counter == 0
        self._start = {
            p: torch.zeros_like(p) if is_first else p.detach().clone()
            for p in parameters
            if p.requires_grad
        }

    @torch.no_grad()
    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        decay = self.first if strategy.clock.train_exp_counter == 0 else self.later
        for group in strategy.optimizer.param_groups:
            for p in group["params"]:
                if p in self._start:
                    p.lerp_(self._start[p], min(1.0, group["lr"] * decay))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._start = {}
