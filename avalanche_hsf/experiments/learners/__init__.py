"""Learners: what a comparison can train."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from avalanche_hsf.experiments.learners import methods
from avalanche_hsf.experiments.learners.base import Learner, Problem, Setting
from avalanche_hsf.experiments.learners.unsound import UNSOUND

__all__ = ["LEARNERS", "UNSOUND", "Learner", "Problem", "Setting", "find_methods"]


def find_methods() -> dict[str, Learner]:
    """The learners of every file in `methods`, by name."""
    names = sorted(module.name for module in iter_modules(methods.__path__))
    modules = [import_module(f"{methods.__name__}.{name}") for name in names]
    return {name: learner for module in modules for name, learner in module.LEARNERS.items()}


LEARNERS: dict[str, Learner] = find_methods()
"""hsf-<preset>, as the preset says; hsf-<preset>-floor, the same with a diffusion of at least 0.1;
hsf-<delta>, the preset compact with another change per task; mlp-paper, the paper's baseline;
mlp-<strategy> and mlp-task-<strategy>, a strategy of Avalanche on an MLP autoencoder, the second
told the task; hn-*, the stream's network in a `TaskConditional`; net-<strategy>, the same network
under a strategy of Avalanche, with a head for each task."""
