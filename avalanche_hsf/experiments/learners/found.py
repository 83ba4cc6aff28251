"""The learners of every method."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from avalanche_hsf.experiments.learners import methods
from avalanche_hsf.experiments.learners.base import Learner


def find_methods() -> dict[str, Learner]:
    """The learners of every file in `methods`, by name."""
    names = sorted(module.name for module in iter_modules(methods.__path__))
    modules = [import_module(f"{methods.__name__}.{name}") for name in names]
    return {name: learner for module in modules for name, learner in module.LEARNERS.items()}


LEARNERS: dict[str, Learner] = find_methods()
"""hsf-*: a Hypernet-SDE-Flow; mlp-*: an MLP autoencoder, mlp-task-*: one that is told the task;
hn-*: the stream's network in a `TaskConditional`; ids-*: the same, the task inferred; net-*: that
network with a head for each task that is told.
See `Learner.about`."""
