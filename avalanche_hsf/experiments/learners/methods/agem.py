"""Averaged gradient episodic memory."""

from __future__ import annotations

from typing import Any

from avalanche.training import AGEM
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, on_autoencoders


def _agem(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    # The reference gradient is that of the whole memory, as the step's is that of all data.
    return make_strategy(
        AGEM,
        setting,
        model,
        patterns_per_exp=setting.memory // setting.n_tasks,
        sample_size=setting.memory,
        **arguments,
    )


LEARNERS = on_autoencoders("agem", _agem, "A-GEM")
