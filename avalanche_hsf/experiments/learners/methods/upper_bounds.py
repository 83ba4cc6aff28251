"""Learners that keep or see all data, and one that keeps nothing but the last task."""

from __future__ import annotations

from typing import Any

from avalanche.training import Cumulative, FromScratchTraining, JointTraining
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, on_autoencoders, on_networks


def _cumulative(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(Cumulative, setting, model, **arguments)


def _joint(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(
        JointTraining, setting, model, **({"train_epochs": setting.joint_epochs} | arguments)
    )


def _from_scratch(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(FromScratchTraining, setting, model, **arguments)


LEARNERS = {
    **on_autoencoders("cumulative", _cumulative, "Cumulative, all data so far"),
    **on_networks("cumulative", _cumulative, "Cumulative, all data so far"),
    **on_autoencoders("joint", _joint, "JointTraining, all data at once", jointly=True),
    **on_networks("joint", _joint, "JointTraining, all data at once", jointly=True),
    **on_autoencoders("from-scratch", _from_scratch, "FromScratchTraining, a new model each time"),
}
