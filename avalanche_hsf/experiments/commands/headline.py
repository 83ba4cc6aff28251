"""Which row of a table is the best, in a sentence that does not say more than the seeds do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from avalanche_hsf.experiments.learners import Problem
from avalanche_hsf.experiments.runs.groups import finite, p_between
from avalanche_hsf.experiments.runs.record import Run, Runs
from avalanche_hsf.report import accuracy, bounded

LEVEL = 0.05
"""Of the paired test: above it two learners are not told apart."""


def of_comparison(problem: Problem, runs: Runs) -> str:
    """The learner with the lowest error, and the next; "": none finished every seed.

    Ranked are those that finished every seed, and were not trained on all tasks at once.
    """
    by_learner = runs.by("learner")
    finished = {name: finite(by_learner.get(name, ())) for name in runs.learners}
    ranked = {
        name: group
        for name, group in sorted(finished.items(), key=lambda item: mean_error(item[1]))
        if len(group) == len(runs.seeds) and not math.isnan(group[0].mean_and_worst_forgetting[0])
    }
    if not ranked:
        return ""
    measure = "accuracy" if problem.classifies else problem.measure
    where = f"on {runs[0].benchmark}, {count(len(runs.seeds), 'seed')}"
    (best, runs_of_best), *others = ranked.items()
    if not others:
        return f"{best} {where}: a final mean {measure} of {_result(problem, runs_of_best)}."
    next_best, runs_of_next = others[0]
    of = f"{len(ranked)} learners"
    if len(ranked) < len(runs.learners):
        of = f"the {len(ranked)} sequential learners with all seeds"
    extreme = "highest" if problem.classifies else "lowest"
    return (
        f"{best} has the {extreme} final mean {measure} of {of} {where}: "
        f"{_result(problem, runs_of_best)}, next {next_best} with "
        f"{_result(problem, runs_of_next)}{how_sure(runs_of_best, runs_of_next)}."
    )


def of_sweep(preset: str, by_label: Mapping[str, Sequence[Run]], n_seeds: int) -> str:
    """Whether a change leaves a lower error than none, the first row; "": nothing to compare."""
    whole = {label: finite(runs) for label, runs in by_label.items()}
    whole = {label: runs for label, runs in whole.items() if len(runs) == n_seeds}
    unchanged, n = next(iter(by_label)), len(whole) - 1
    if unchanged not in whole or n == 0:
        return ""
    errors = {label: bounded([mean_error(runs)]) for label, runs in whole.items()}
    first = whole[unchanged]
    best = min(whole, key=lambda label: mean_error(whole[label]))
    where = f"{preset} on {first[0].benchmark}, {count(n_seeds, 'seed')}"
    changes = count(n, "change")
    if best == unchanged:
        as_it_is = f"the {errors[best]} that it has as it is"
        return f"None of {changes} of {where}, leaves a final mean MSE below {as_it_is}."
    return (
        f"Of {changes} of {where}, {best} leaves the lowest final mean MSE: {errors[best]}, where "
        f"{preset} as it is has {errors[unchanged]}{how_sure(first, whole[best])}."
    )


def how_sure(first: Sequence[Run], second: Sequence[Run]) -> str:
    """What a paired test says of two learners, to be put behind their numbers."""
    p = p_between(first, second)
    if math.isnan(p):
        return " (one seed tells nothing of chance)" if len(first) == 1 else ""
    return (
        f" (p = {p:.1g})" if p < LEVEL else f", which these seeds do not tell apart (p = {p:.1g})"
    )


def mean_error(runs: Sequence[Run]) -> float:
    """The mean over runs of the final mean error; infinite if there are none."""
    return sum(run.final_mean_error for run in runs) / len(runs) if runs else math.inf


def _result(problem: Problem, runs: Sequence[Run]) -> str:
    error = [mean_error(runs)]
    return f"{accuracy(error)} %" if problem.classifies else bounded(error)


def count(n: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "seed"), count(2, "seed")
    ('1 seed', '2 seeds')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
