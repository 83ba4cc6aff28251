"""Why any learner of `compare` forgets: tuned as there, examined with every seed."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from avalanche_hsf.experiments.asked import HALVING, check_one
from avalanche_hsf.experiments.commands.comparison import Comparison
from avalanche_hsf.experiments.commands.headline import count
from avalanche_hsf.experiments.commands.tuning import tune
from avalanche_hsf.experiments.learners import Learner, Problem
from avalanche_hsf.experiments.runs.findings import findings_in, plain
from avalanche_hsf.experiments.runs.groups import finite
from avalanche_hsf.experiments.runs.jobs import Engine, make_all
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.experiments.runs.run import run
from avalanche_hsf.forensics import ForensicsPlugin, forensics_report, pooled
from avalanche_hsf.report import Report


def check(options: argparse.Namespace) -> Comparison:
    """The learner and its tuning; raises TypeError or ValueError."""
    comparison = Comparison.of(
        options.benchmark,
        [options.learner],
        seeds=options.seeds,
        network=options.network,
        epochs=options.epochs,
        search=options.search or HALVING,
    )
    check_one(options.learner, comparison.learners)
    return comparison


def report(comparison: Comparison, results: ResultsFile, engine: Engine) -> Report | None:
    """Carries it out; None if no run was finished."""
    configurations, failures = tune(comparison, results, engine)
    jobs = [
        replace(comparison.job_of(name, seed, chosen), work=_examined, finding="tasks")
        for name, chosen in configurations.items()
        for seed in comparison.seeds
    ]
    runs = make_all(results, jobs, engine)
    if not runs:
        return None
    (name,) = comparison.learners
    group = finite(list(runs))
    found = Report("diagnosis")
    if group:
        found = forensics_report(pooled([findings_in(run) for run in group]), name=found.name)
        of = f"{name} on {group[0].benchmark}, {count(len(group), 'seed')}"
        found = replace(found, headline=f"{of}: {found.headline}")
    return replace(found, failures=[*failures, *runs.failures], diverged=runs.diverged)


def _examined(benchmark: Problem, learner: Learner, **arguments: Any) -> Run:
    """`run` plus what `ForensicsPlugin` found in `Run.findings`, of one that did not diverge."""
    forensics = ForensicsPlugin(report=None)
    finished = run(benchmark, learner, plugins=[forensics], **arguments)
    return (
        finished if finished.diverged else replace(finished, findings=plain(forensics.findings()))
    )
