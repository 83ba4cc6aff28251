"""Replay of raw samples, Avalanche's."""

from __future__ import annotations

from typing import Any

from avalanche.training import Replay
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, on_both


def _replay(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    # The memory is divided among the tasks seen so far. With full batches all of it is in each.
    mem_size = setting.memory_beside(model)
    return make_strategy(Replay, setting, model, mem_size=mem_size, **arguments)


LEARNERS = on_both("replay", _replay, "Replay")
