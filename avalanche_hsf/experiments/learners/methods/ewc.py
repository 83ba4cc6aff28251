"""Elastic weight consolidation, plain and online."""

from __future__ import annotations

from functools import partial
from typing import Any

from avalanche.training import EWC
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import (
    grid,
    make_strategy,
    on_autoencoders,
    on_networks,
)
from avalanche_hsf.experiments.learners.mended import PerSampleImportance


def _ewc(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(EWC, setting, model, last=[PerSampleImportance()], **arguments)


_ONLINE = partial(_ewc, mode="online", decay_factor=0.9)
_GRID = grid("ewc_lambda", 3e4, 3e5, 3e6)

LEARNERS = {
    **on_autoencoders("ewc", _ewc, "EWC", _GRID),
    **on_autoencoders("online-ewc", _ONLINE, "online EWC", _GRID),
    **on_networks("ewc", _ewc, "EWC", grid("ewc_lambda", 1e1, 1e3, 1e5)),
}
