"""Learners that keep or see all data, and one that keeps nothing but the last task."""

from __future__ import annotations

from functools import partial
from typing import Any

from avalanche.training import Cumulative, FromScratchTraining, JointTraining
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, on_autoencoders, on_both

_cumulative = partial(make_strategy, Cumulative)
_from_scratch = partial(make_strategy, FromScratchTraining)


def _joint(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    arguments = {"train_epochs": setting.joint_epochs, **arguments}
    return make_strategy(JointTraining, setting, model, **arguments)


LEARNERS = {
    **on_both("cumulative", _cumulative, "Cumulative, all data so far"),
    **on_both("joint", _joint, "JointTraining, all data at once", jointly=True),
    **on_autoencoders("from-scratch", _from_scratch, "FromScratchTraining, a new model each time"),
}
