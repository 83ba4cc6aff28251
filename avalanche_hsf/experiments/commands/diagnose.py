"""Why a preset forgets, or any other learner."""

from __future__ import annotations

import argparse

from avalanche_hsf.experiments.commands import diagnose_learner, diagnose_preset
from avalanche_hsf.experiments.commands.beforehand import check_together
from avalanche_hsf.experiments.commands.comparison import Comparison
from avalanche_hsf.experiments.runs.jobs import Engine, Job
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.report import Report


def check(options: argparse.Namespace) -> list[Job] | Comparison:
    """What was asked for; raises TypeError or ValueError, before anything runs."""
    check_together(options)
    if options.learner is None:
        return diagnose_preset.check(options)
    return diagnose_learner.check(options)


def report(asked: list[Job] | Comparison, results: ResultsFile, engine: Engine) -> Report | None:
    """Carries it out; None if no run was finished."""
    if isinstance(asked, Comparison):
        return diagnose_learner.report(asked, results, engine)
    return diagnose_preset.report(asked, results, engine)
