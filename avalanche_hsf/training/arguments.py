"""Checks of the objects that a strategy is made of."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import BasePlugin
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.optim import Optimizer

from avalanche_hsf.checks import shown
from avalanche_hsf.evaluation import quiet_evaluator
from avalanche_hsf.models import HypernetSDEFlow


def check_model_and_optimizer(model: object, optimizer: object) -> None:
    """TypeError if they are none."""
    if not isinstance(model, HypernetSDEFlow):
        raise TypeError(f"model must be a HypernetSDEFlow, got {type(model).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be a torch Optimizer, got {type(optimizer).__name__}")


def as_device(device: Any) -> torch.device:
    """A device of torch; ValueError otherwise."""
    try:
        made = torch.device(device)
    except (RuntimeError, TypeError, ValueError):
        raise ValueError(f'device must be one of torch, as "cpu", got {shown(device)}') from None
    if made.type == "cuda" and (made.index or 0) >= torch.cuda.device_count():
        raise ValueError(f'torch finds no device {made} here: use another, such as "cpu"')
    return made


def as_evaluator(evaluator: Any) -> EvaluationPlugin:
    """What Avalanche would make of it, but silent for None; TypeError if that is no evaluator."""
    makes_one = callable(evaluator) and not isinstance(evaluator, (EvaluationPlugin, nn.Module))
    made = evaluator() if makes_one else evaluator
    if made is None:
        return quiet_evaluator()
    if not isinstance(made, EvaluationPlugin):
        raise TypeError(f"evaluator must be an EvaluationPlugin or None, got {shown(evaluator)}")
    return made


def as_plugins(name: str, plugins: object) -> list[BasePlugin]:
    """A list of plugins; TypeError otherwise."""
    if not isinstance(plugins, (list, tuple)):
        raise TypeError(f"{name} must be a list of plugins, got {shown(plugins)}")
    for plugin in plugins:
        if isinstance(plugin, type):
            kind = plugin.__name__
            raise TypeError(f"{name} must be plugins, got the class {kind}; give {kind}()")
        if not isinstance(plugin, BasePlugin):
            raise TypeError(f"{name} must be a list of plugins, but holds {shown(plugin)}")
    return list(plugins)
