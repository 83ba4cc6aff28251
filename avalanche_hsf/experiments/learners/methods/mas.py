"""Memory-aware synapses."""

from __future__ import annotations

from typing import Any

from avalanche.training import MAS
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy, on_autoencoders
from avalanche_hsf.experiments.learners.mended import PerSampleImportance


def _mas(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(MAS, setting, model, last=[PerSampleImportance()], **arguments)


LEARNERS = on_autoencoders("mas", _mas, "MAS", grid("lambda_reg", 0.1, 1, 10))
