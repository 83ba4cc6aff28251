"""Experiments: learners, streams, and the commands that run them."""

from avalanche_hsf.experiments.commands.compare import compare
from avalanche_hsf.experiments.learners import LEARNERS, Learner, Problem, Setting
from avalanche_hsf.experiments.runs.named import BENCHMARKS
from avalanche_hsf.experiments.runs.record import Run, Runs
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.experiments.runs.run import run

__all__ = [
    "BENCHMARKS",
    "LEARNERS",
    "Learner",
    "Problem",
    "ResultsFile",
    "Run",
    "Runs",
    "Setting",
    "compare",
    "run",
]
