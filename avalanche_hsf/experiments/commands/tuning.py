"""How the learners of a comparison are tuned: a search on a seed that is not reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median_low
from typing import Any

from avalanche_hsf.experiments.commands.comparison import Comparison
from avalanche_hsf.experiments.learners import Learner, Problem
from avalanche_hsf.experiments.learners.base import REGULARIZED
from avalanche_hsf.experiments.runs.jobs import Engine, make
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.experiments.runs.results import ResultsFile

FEWEST = 4
"""Candidates from which on short runs are made."""

Candidates = Mapping[str, Sequence[dict[str, Any]]]
"""Configurations to choose from, by the name of the learner."""

Trials = dict[str, list[tuple[dict[str, Any], Run | None]]]
"""Each configuration with its run, None for one that failed."""


def tune(
    comparison: Comparison, results: ResultsFile, engine: Engine
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The configuration of each learner with the lowest final mean error on the tuning seed.

    In three stages, each for all learners together: every optimizer and learning rate of the
    problem, with the middle of the learner's own strengths; with the best of them, its other ones;
    with the best of these, on a problem with few samples, those of `REGULARIZED`. A learner that
    runs as its name says has one candidate in each.

    The search "grid" runs every candidate for all epochs. "halving" runs them for a tenth first,
    and goes on with the `promising` ones and the best of the stage before; but not with fewer than
    four candidates or ten epochs. Where none that went on finishes, the others are run to the end
    too. It is one round of Jamieson & Talwalkar 2016, arXiv:1502.07943: a second one lost the best
    more often than it saved time, see docs/all-results.md.

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
        several = {name: those for name, those in candidates.items() if len(those) > 1}
        reasons: list[str] = []
        run_all = partial(_run_all, comparison, results, engine, reasons)
        finished = _finished(comparison, several, best, run_all)
        for name, those in candidates.items():
            if name not in several:
                best[name] = those[0]
                continue
            errors = [_error(run) for _, run in finished[name]]
            if math.isinf(min(errors)):
                del best[name]
                failures.append(_left_out(name, finished[name], reasons))
            else:
                best[name] = finished[name][errors.index(min(errors))][0]
        kept = tuple(f"{name} on " for name in best)
        told = dict.fromkeys(reason for reason in reasons if reason.startswith(kept))
        failures += [f"tuning: {reason}" for reason in told]
    return best, failures


def promising(errors: Sequence[float]) -> list[int]:
    """The places of the candidates that go on after short runs: the better half, with ties.

    Of those that failed or diverged, whose error is infinite, none goes on unless all did.

    >>> promising([0.1, 0.5, 0.1, 0.3, 0.2, 0.4])
    [0, 2, 4]
    >>> promising([0.1, math.inf, math.inf, math.inf])
    [0]
    """
    middle = median_low(errors)
    places = [i for i, error in enumerate(errors) if math.isfinite(error) and error <= middle]
    return places or list(range(len(errors)))


def _finished(
    comparison: Comparison,
    candidates: Candidates,
    best: Mapping[str, dict[str, Any]],
    run_all: Callable[..., Trials],
) -> Trials:
    """The runs for all epochs from which each learner's configuration is chosen."""
    epochs, first = comparison.job.epochs, dict(candidates)
    if comparison.short_epochs:
        many = {name: those for name, those in candidates.items() if len(those) >= FEWEST}
        for name, trials in run_all(many, comparison.short_epochs, "short tuning run").items():
            go_on = promising([_error(run) for _, run in trials])
            first[name] = [
                configuration
                for i, (configuration, _) in enumerate(trials)
                if i in go_on or configuration == best[name]
            ]
    finished = run_all(first, epochs, "tuning run")
    others = {
        name: [configuration for configuration in candidates[name] if configuration not in went_on]
        for name, went_on in first.items()
        if all(math.isinf(_error(run)) for _, run in finished[name])
    }
    for name, trials in run_all(others, epochs, "tuning run").items():
        finished[name] += trials
    return finished


def _run_all(
    comparison: Comparison,
    results: ResultsFile,
    engine: Engine,
    reasons: list[str],
    candidates: Candidates,
    epochs: int,
    what: str,
) -> Trials:
    """Those of all learners together."""
    jobs = [
        replace(
            comparison.job_of(name, comparison.tuning_seed, configuration, tuning=True),
            epochs=epochs,
        )
        for name, those in candidates.items()
        for configuration in those
    ]
    made = iter(make(results, jobs, engine, reasons, what=what))
    return {
        name: [(configuration, next(made)) for configuration in those]
        for name, those in candidates.items()
    }


def _left_out(
    name: str, trials: Sequence[tuple[dict[str, Any], Run | None]], reasons: Sequence[str]
) -> str:
    """A learner of which every candidate failed or diverged, and why the last one did."""
    runs = [run for _, run in trials]
    why = [reason for reason in reasons if reason.startswith(f"{name} on ")]
    why += [run.diverged for run in runs if run is not None]
    what = "failed" if None in runs else "diverged"
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
