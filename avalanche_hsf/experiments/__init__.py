"""What the commands run, and the one format of its results."""

from avalanche_hsf.experiments.results import ResultsFile, Run, versions
from avalanche_hsf.experiments.runner import BENCHMARKS, STRATEGIES, run
from avalanche_hsf.experiments.tables import Table

__all__ = ["BENCHMARKS", "STRATEGIES", "ResultsFile", "Run", "Table", "run", "versions"]
