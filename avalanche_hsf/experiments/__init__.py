"""What the commands run, and the one format of their results."""

from avalanche_hsf.experiments.comparison import compare
from avalanche_hsf.experiments.learners import LEARNERS
from avalanche_hsf.experiments.results import ResultsFile, Run
from avalanche_hsf.experiments.runner import run
from avalanche_hsf.experiments.streams import BENCHMARKS

__all__ = ["BENCHMARKS", "LEARNERS", "ResultsFile", "Run", "compare", "run"]
