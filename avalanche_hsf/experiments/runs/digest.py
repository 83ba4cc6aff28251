"""A digest of everything that the numbers of a run depend on, so that no stale run is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from avalanche_hsf import training
from avalanche_hsf.experiments.learners import Learner, Problem
from avalanche_hsf.experiments.runs.canonical import canonical
from avalanche_hsf.models import HYPERNETWORKS, HypernetSDEFlow
from avalanche_hsf.training import get_preset
from avalanche_hsf.training.optimizers import optimizer_class


def digest_of(problem: Problem, learner: Learner, versions: Mapping[str, str]) -> str:
    """Sixteen hexadecimal digits that change with any of the inputs of a run.

    They are the problem, the learner with its grid, the presets it is made of with the defaults
    of every class that they name, see `canonical`, the versions of what computes, and the type
    that tensors have by default.
    """
    inputs = [problem, learner, dict(versions), *map(_preset_inputs, learner.presets)]
    inputs.append(str(torch.get_default_dtype()))
    return hashlib.sha256(canonical(inputs).encode()).hexdigest()[:16]


def _preset_inputs(name: str) -> list[Any]:
    """A preset, and all that it makes, for the defaults."""
    preset = get_preset(name)
    makers = [
        HypernetSDEFlow,
        HYPERNETWORKS[preset.hypernetwork["hypernetwork"]],
        optimizer_class(preset.optimizer["name"]),
        *(getattr(training, plugin) for plugin in preset.all_protections),
    ]
    return [preset, *makers]
