"""Replay of raw samples, Avalanche's."""

from __future__ import annotations

from typing import Any

from avalanche.training import Replay
from torch import nn

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, network_with_heads, on_both


def _replay(setting: Setting, model: nn.Module, *, more: bool = False, **arguments: Any) -> Any:
    # The memory is divided among the tasks seen so far. With full batches all of it is in each.
    mem_size = setting.memory_beside(model, more=more)
    return make_strategy(Replay, setting, model, mem_size=mem_size, **arguments)


def _more(setting: Setting, **arguments: Any) -> Any:
    return _replay(setting, network_with_heads(setting), more=True, **arguments)


LEARNERS = on_both("replay", _replay, "Replay") | {
    "net-replay-more": Learner(
        _more,
        "Replay with as many bytes as ids-hsf keeps, on the stream's network",
        optimizers=("AdamW",),
        regularized=False,
        group="class-incremental",
    )
}
