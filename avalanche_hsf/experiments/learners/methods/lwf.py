"""Learning without forgetting."""

from __future__ import annotations

from typing import Any

from avalanche.training import LwF
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy, on_networks


def _lwf(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(LwF, setting, model, temperature=2.0, **arguments)


LEARNERS = on_networks("lwf", _lwf, "LwF", grid("alpha", 0.3, 1.0, 3.0))
