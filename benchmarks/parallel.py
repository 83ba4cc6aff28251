"""Sixteen runs in two processes against one after the other.

    python benchmarks/parallel.py [--runs 16] [--jobs 2] [--epochs 300] [--out measured/speed]

The same seeds of the preset "compact" on the paper's stream, both ways. What the processes take to
start and to import is in it.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import torch
from joblib.externals.loky import get_reusable_executor
from timing import Ratio, in_turn, ratio, report

from avalanche_hsf.experiments import ResultsFile
from avalanche_hsf.experiments.runs.engines import make_engine
from avalanche_hsf.experiments.runs.jobs import Job, make


def main(runs: int = 16, jobs: int = 2, epochs: int = 300, out: str | None = None) -> list[Ratio]:
    """Prints the table and returns its rows."""
    torch.set_num_threads(1)
    work = [Job("synthetic", "hsf-compact", seed, epochs) for seed in range(runs)]
    matrices = []

    def all_of(n: int) -> None:
        with tempfile.TemporaryDirectory() as folder, make_engine(n) as engine:
            made = make(ResultsFile(folder), work, engine)
        matrices.append([run.error_matrix for run in made])
        get_reusable_executor().shutdown()  # each time anew, as a command would

    in_process, in_processes = "one after the other", f"--jobs {jobs}"
    variants = {in_process: lambda: all_of(1), in_processes: lambda: all_of(jobs)}
    seconds = in_turn(variants, blocks=1, warm_up=False)
    assert all(each == matrices[0] for each in matrices)  # the very same results
    name = f"{runs} runs {in_process} / {in_processes}"
    rows = [ratio(seconds, in_process, in_processes, name=name, goal=">= 1.8")]
    report(rows, out, "parallel")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--out")
    options = parser.parse_args()
    main(options.runs, options.jobs, options.epochs, options.out)
