"""Riemannian walk."""

from __future__ import annotations

from typing import Any

from avalanche.training import Naive
from avalanche.training.plugins import RWalkPlugin
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy, on_autoencoders


def _rwalk(setting: Setting, model: nn.Module, *, ewc_lambda: float, **arguments: Any) -> Any:
    # Avalanche has the plugin alone. Without a score in a task it divides zero by zero, so
    # delta_t, 10 by default, is at most the number of steps.
    rwalk = RWalkPlugin(ewc_lambda=ewc_lambda, delta_t=min(10, setting.epochs))
    return make_strategy(Naive, setting, model, last=[rwalk], **arguments)


LEARNERS = on_autoencoders("rwalk", _rwalk, "RWalk", grid("ewc_lambda", 0.1, 1, 10))
