"""The files of the data sets that a problem reads."""

from __future__ import annotations

from avalanche_hsf.benchmarks.files import check_files
from avalanche_hsf.experiments.runs.doors import Named, find_problem


def download(benchmark: Named) -> None:
    """Downloads what is missing of the data sets of a benchmark; of most there is nothing.

    Raises:
        TypeError, ValueError: The benchmark is unknown, or a data set cannot be downloaded.
    """
    for name in find_problem(benchmark).data:
        check_files(name, download=True)
