"""Gradient episodic memory."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from avalanche.training import GEM
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, on_both


def _gem(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    if find_spec("quadprog") is None:
        raise ImportError("GEM needs quadprog: pip install 'avalanche-hsf[gem]'")
    patterns_per_exp = setting.memory // setting.n_tasks
    return make_strategy(GEM, setting, model, patterns_per_exp=patterns_per_exp, **arguments)


LEARNERS = on_both("gem", _gem, "GEM")
