"""What is to be compared, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from avalanche_hsf.benchmarks.files import check_files
from avalanche_hsf.checks import check_choice, check_int
from avalanche_hsf.experiments.asked import (
    HALVING,
    SEARCHES,
    TUNING_SEED,
    check_seeds,
    check_targets,
    expand,
    members,
)
from avalanche_hsf.experiments.learners import LEARNERS, Learner, Problem
from avalanche_hsf.experiments.runs.doors import Named, find_learner, find_problem
from avalanche_hsf.experiments.runs.jobs import Job

GROUPS: Mapping[str, tuple[str, ...]] = members(LEARNERS)
"""Names that stand for several learners."""

OF_AUTOENCODERS = ("hsf-isolated", "presets", "peers")
OF_NETWORKS = ("hn-isolated", "networks")
UNTOLD = ("ids-hsf", *(name for name in GROUPS["networks"] if not LEARNERS[name].ours))
"""Ours infers the task, the others do without; ours of `networks` want to be told."""
SHORT = 10
"""Epochs of a whole run for each one of a short run."""
SEEDS = (1, 2, 3, 4, 5)

Learners = Mapping[str, Named] | Sequence[str]
"""Names, groups and addresses; or by the name in tables a name, an address, a function that builds
a strategy, or a `Learner`."""


@dataclass(frozen=True)
class Comparison:
    """What is compared, checked.

    Attributes:
        problem: What is learned.
        learners: Who learns it, by the name in tables.
        named: The names or things that were given for them, by the same names.
        job: A job of the problem, to be copied for each run.
        seeds: To be reported.
        tuning_seed: Of the search.
        search: One of `SEARCHES`.
    """

    problem: Problem
    learners: Mapping[str, Learner]
    named: Mapping[str, Named]
    job: Job
    seeds: Sequence[int]
    tuning_seed: int
    search: str

    @classmethod
    def of(
        cls,
        benchmark: Named,
        learners: Learners | None = None,
        *,
        seeds: Sequence[int] = SEEDS,
        network: Named = None,
        criterion: Named = None,
        mb_size: int | None = None,
        epochs: int | None = None,
        tuning_seed: int = TUNING_SEED,
        search: str = HALVING,
    ) -> Comparison:
        """Arguments and errors as in `compare`."""
        problem = find_problem(benchmark, network, criterion=criterion, mb_size=mb_size)
        if learners is None:
            of_networks = OF_NETWORKS if problem.told else UNTOLD
            learners = of_networks if problem.unit == "epoch" else OF_AUTOENCODERS
        named = _named(learners)
        builders = {name: find_learner(learner) for name, learner in named.items()}
        check_fit(problem, builders)
        check_seeds(seeds, tuning_seed)
        check_choice("search", search, SEARCHES)
        epochs = problem.epochs if epochs is None else check_int("epochs", epochs, at_least=1)
        job = Job(
            benchmark,
            "",
            tuning_seed,
            epochs,
            network=network,
            criterion=criterion,
            mb_size=mb_size,
        )
        return cls(problem, builders, named, job, list(seeds), tuning_seed, search)

    @property
    def short_epochs(self) -> int:
        """Of the runs after which the search halves; 0: it runs every candidate to the end."""
        return self.job.epochs // SHORT if self.search == HALVING else 0

    def job_of(
        self, name: str, seed: int, configuration: Mapping[str, Any], *, tuning: bool = False
    ) -> Job:
        """The run of one learner with one seed; a tuning run may be on another problem."""
        return replace(
            self.job,
            benchmark=(self.problem.tuned_on if tuning else "") or self.job.benchmark,
            learner=self.named[name],
            name=name,
            seed=seed,
            configuration=configuration,
        )


def _named(learners: Learners) -> dict[str, Named]:
    if isinstance(learners, Mapping):
        return dict(learners)
    if isinstance(learners, str) or not all(isinstance(name, str) for name in learners):
        raise TypeError(
            "learners must be a list of names, or a mapping from names to learners, got "
            f"{learners!r}"
        )
    return {name: name for name in expand(learners, GROUPS)}


def check_fit(problem: Problem, learners: Mapping[str, Learner]) -> None:
    """Raises an error if there is no learner, or one is not for that problem, or data are missing.

    Raises:
        FileNotFoundError: A file of a data set is missing.
        ValueError: One is damaged, or all else.
    """
    if not learners:
        raise ValueError("learners must name at least one learner, got none")
    check_targets(problem, learners, LEARNERS)
    for name in problem.data:
        check_files(name)
