"""Synaptic intelligence."""

from __future__ import annotations

from typing import Any

from avalanche.training import Naive
from torch import nn

from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy, on_networks
from avalanche_hsf.experiments.learners.mended import SynapticIntelligenceOnCPU


def _si(setting: Setting, model: nn.Module, *, si_lambda: float, **arguments: Any) -> Any:
    # Heads belong to one task each; those not in training have no gradient, and it raises on them.
    heads = ["*classifier*"] if setting.problem.has_heads else []
    plugin = SynapticIntelligenceOnCPU(si_lambda, excluded_parameters=heads)
    return make_strategy(Naive, setting, model, last=[plugin], **arguments)


# Avalanche clips importances at 0.001, so a lambda has to be large to count.
LEARNERS = on_networks("si", _si, "SI, its CPU mended", grid("si_lambda", 1.0, 1e2, 1e4))
