from .commands.compare import compare
from .learners import LEARNERS, Learner, Problem, Setting
from .runs.named import BENCHMARKS
from .runs.record import Run, Runs
from .runs.results import ResultsFile
from .runs.run import run

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
