"""What a command names, against what there is. Nothing here imports torch.

What there is may be a registry or the catalogue: both have the fields that are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from avalanche_hsf.addresses import nearest
from avalanche_hsf.checks import check_int
from avalanche_hsf.experiments.learners.unsound import UNSOUND

GROUPS = ("presets", "frontier", "peers", "networks", "class-incremental")
"""Names that stand for several learners."""


TUNING_SEED = 100
"""Of the search, unless another one is given."""

HALVING, GRID = SEARCHES = ("halving", "grid")
"""How configurations are searched: after a tenth of the epochs the better half, or all."""


class AnyProblem(Protocol):
    """What is learned."""

    @property
    def name(self) -> str: ...
    @property
    def latent_dim(self) -> int: ...


class AnyLearner(Protocol):
    """Who learns it."""

    @property
    def group(self) -> str: ...
    @property
    def autoencodes(self) -> bool: ...
    @property
    def jointly(self) -> bool: ...


def members(learners: Mapping[str, AnyLearner]) -> dict[str, tuple[str, ...]]:
    """The names of the learners of each group."""
    return {
        group: tuple(name for name, learner in learners.items() if learner.group == group)
        for group in GROUPS
    }


def expand(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Learners from names of learners and groups, each once, in order.

    >>> expand(["hn-a", "all"], {"all": ("hn-a", "hn-b")})
    ['hn-a', 'hn-b']
    """
    return list(dict.fromkeys(name for group in names for name in groups.get(group, (group,))))


def check_benchmark(name: str, known: Collection[str]) -> None:
    """ValueError, with the valid names, if it is none of them."""
    _check_known("benchmark", name, known)


def check_learner(name: str, known: Collection[str]) -> None:
    """ValueError, with the valid names, if it is none of them, or why it is not compared."""
    if name in UNSOUND:
        raise ValueError(f"{name} is not compared: Avalanche {UNSOUND[name]}")
    _check_known("learner", name, known)


def check_one(name: str, named: Mapping[str, AnyLearner]) -> None:
    """ValueError if what is to be diagnosed is several learners, or has nothing to forget."""
    if len(named) > 1:
        raise ValueError(f"{name} is a group: name one of {', '.join(named)}")
    for each, learner in named.items():
        if learner.jointly:
            raise ValueError(f"{each} trains on all tasks at once: it has nothing to forget")


def check_targets(
    problem: AnyProblem, learners: Mapping[str, AnyLearner], known: Mapping[str, AnyLearner]
) -> None:
    """ValueError, with those that fit, if a learner reconstructs where nothing is to be.

    Args:
        problem: What is learned.
        learners: Who learns it.
        known: All there are.
    """
    for name, learner in learners.items():
        if learner.autoencodes and not problem.latent_dim:
            fitting = [n for n, candidate in known.items() if not candidate.autoencodes]
            raise ValueError(
                f"{name} builds an autoencoder, but on {problem.name} the target is not the input; "
                f"choose from {', '.join(fitting)}"
            )


def check_seeds(seeds: Sequence[int], tuning_seed: int) -> None:
    """TypeError or ValueError unless there are seeds, and the search has one of its own."""
    if not isinstance(seeds, Sequence):
        raise TypeError(f"seeds must be a list of integers, got {seeds!r}")
    if tuning_seed in seeds:
        raise ValueError(
            f"the tuning seed {tuning_seed} is among the seeds: what is reported must be "
            "measured with others"
        )
    if not seeds:
        raise ValueError("seeds must hold at least one seed, got none")
    for seed in (*seeds, tuning_seed):
        check_int("a seed", seed, at_least=0)


def not_a_maker(what: str, got: str) -> TypeError:
    """What to raise for a network or a loss that is no function."""
    return TypeError(
        f"{what} must be a function that makes a new one for each run, or its address "
        f"module:name, got {got}"
    )


def _check_known(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise ValueError(
            f"unknown {what} {name!r}{nearest(name, known)}; choose from {', '.join(known)}, or "
            "give module:name"
        )
