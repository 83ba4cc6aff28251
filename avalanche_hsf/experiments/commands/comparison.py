"""What is to be compared, checked before anything runs, and how it is tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from avalanche_hsf.benchmarks.files import check_files
from avalanche_hsf.checks import check_int
from avalanche_hsf.experiments.asked import (
    TUNING_SEED,
    check_seeds,
    check_targets,
    expand,
    members,
)
from avalanche_hsf.experiments.learners import LEARNERS, Learner, Problem
from avalanche_hsf.experiments.learners.base import REGULARIZED
from avalanche_hsf.experiments.runs.doors import Named, find_learner, find_problem
from avalanche_hsf.experiments.runs.jobs import Engine, Job, make
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.experiments.runs.results import ResultsFile

GROUPS: Mapping[str, tuple[str, ...]] = members(LEARNERS)
"""Names that stand for several learners."""

OF_AUTOENCODERS = ("hsf-isolated", "presets", "peers")
OF_NETWORKS = ("hn-isolated", "networks")
UNTOLD = ("ids-hsf", *(name for name in GROUPS["networks"] if not LEARNERS[name].ours))
"""Ours infers the task, the others do without; ours of `networks` want to be told."""
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
    """

    problem: Problem
    learners: Mapping[str, Learner]
    named: Mapping[str, Named]
    job: Job
    seeds: Sequence[int]
    tuning_seed: int

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
        return cls(problem, builders, named, job, list(seeds), tuning_seed)

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


def tune(
    comparison: Comparison, results: ResultsFile, engine: Engine
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The configuration of each learner with the lowest final mean error on the tuning seed.

    In three stages, each for all learners together: every optimizer and learning rate of the
    problem, with the middle of the learner's own strengths; with the best of them, its other ones;
    with the best of these, on a problem with few samples, those of `REGULARIZED`. A learner that
    runs as its name says has one candidate in each.

    Returns:
        The configurations, and a line for each learner of which every candidate failed or
        diverged, and for each candidate of the others that failed.
    """
    best: dict[str, dict[str, Any]] = {name: {} for name in comparison.learners}
    failures: list[str] = []
    for stage in (_rates, _strengths, _regularizers):
        candidates = {
            name: stage(comparison.problem, comparison.learners[name], configuration)
            for name, configuration in best.items()
        }
        jobs = [
            comparison.job_of(name, comparison.tuning_seed, candidate, tuning=True)
            for name, configurations in candidates.items()
            for candidate in configurations
            if len(configurations) > 1
        ]
        reasons: list[str] = []
        finished = iter(make(results, jobs, engine, reasons, what="tuning run"))
        for name, configurations in candidates.items():
            if len(configurations) == 1:
                best[name] = configurations[0]
                continue
            tried = [next(finished) for _ in configurations]
            errors = list(map(_error, tried))
            if math.isinf(min(errors)):
                del best[name]
                failures.append(_left_out(name, tried, reasons))
            else:
                best[name] = configurations[errors.index(min(errors))]
        kept = tuple(f"{name} on " for name in best)
        failures += [f"tuning: {reason}" for reason in reasons if reason.startswith(kept)]
    return best, failures


def _left_out(name: str, tried: Sequence[Run | None], reasons: Sequence[str]) -> str:
    """A learner of which every candidate failed or diverged, and why the last one did."""
    why = [reason for reason in reasons if reason.startswith(f"{name} on ")]
    why += [run.diverged for run in tried if run is not None]
    what = "failed" if None in tried else "diverged"
    return f"{name}: every configuration {what} in tuning, left out; the last: {why[-1]}"


def _error(run: Run | None) -> float:
    """The final mean error; infinite for a run that failed or diverged."""
    return math.inf if run is None or run.diverged else run.final_mean_error


def _rates(problem: Problem, learner: Learner, best: dict[str, Any]) -> list[dict[str, Any]]:
    names = [name for name in learner.optimizers if name in problem.optimizers]
    rates = [{"optimizer": name, "lr": lr} for name in names for lr in problem.rates[name]]
    return [{**rate, **_middle(learner)} for rate in rates or [{}]]


def _strengths(problem: Problem, learner: Learner, best: dict[str, Any]) -> list[dict[str, Any]]:
    others = [strength for strength in learner.grid if strength != _middle(learner)]
    return [best, *({**best, **strength} for strength in others)]


def _regularizers(problem: Problem, learner: Learner, best: dict[str, Any]) -> list[dict[str, Any]]:
    tried = REGULARIZED if problem.few_samples and learner.regularized else ()
    return [best, *({**best, "regularized": regularizer} for regularizer in tried)]


def _middle(learner: Learner) -> Mapping[str, Any]:
    return learner.grid[len(learner.grid) // 2]
