"""What the commands run, and the one format of their results."""

from avalanche_hsf.experiments.commands.compare import compare
from avalanche_hsf.experiments.learners.ours import LEARNERS
from avalanche_hsf.experiments.runs.problems import BENCHMARKS
from avalanche_hsf.experiments.runs.results import ResultsFile, Run
from avalanche_hsf.experiments.runs.run import run

__all__ = ["BENCHMARKS", "LEARNERS", "ResultsFile", "Run", "compare", "run"]
