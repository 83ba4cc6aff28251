"""GDumb: a new model each time, trained on the memory alone."""

from __future__ import annotations

from typing import Any

from avalanche.training import Naive
from avalanche.training.plugins import GDumbPlugin
from avalanche.training.storage_policy import ExperienceBalancedBuffer
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, on_autoencoders


def _gdumb(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    # GDumb's own buffer is balanced over classes, which reconstruction streams lack; where each
    # experience is one class, balanced over experiences is the same.
    gdumb = GDumbPlugin(mem_size=setting.memory)
    gdumb.storage_policy = ExperienceBalancedBuffer(max_size=gdumb.mem_size)
    return make_strategy(Naive, setting, model, last=[gdumb], **arguments)


LEARNERS = on_autoencoders("gdumb", _gdumb, "GDumb")
