"""The results file that every command writes."""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from avalanche_hsf import __version__
from avalanche_hsf.evaluation import forgetting

Key = tuple[str, str, int, int, str]


@dataclass(frozen=True)
class Run:
    """One learner on one stream with one seed.

    Attributes:
        benchmark: Name of the stream, such as "synthetic".
        strategy: Name of the learner, such as "hsf-paper".
        seed: Its seed.
        epochs: Training epochs an experience.
        configuration: What was chosen besides: optimizer, strength; empty for a learner as its
            name says.
        error_matrix: R[i][j], the MSE or, of classifiers, the share misclassified, row i measured
            after task i; None where it was not measured.
        forgetting: R[last][j] - R[j][j] by task; positive is worse; None where R[j][j] was not
            measured.
        final_mean_error: Mean of the last row.
        final_mean_error_of_mean_path: The same for the mean of `N_PATHS` outputs for each sample,
            for stochastic models; None for the others.
        seconds: Wall time of training and evaluation.
        n_parameters: Numbers in the model at the end, read-outs and frozen parts included.
        floats_kept: Numbers that the learner keeps at the end: the model's and the plugins', in
            units of 4 bytes.
        floats_per_task: What each task after the first added to that, on average; or, where it is
            more, what is kept beside the model, such as a memory, divided by all tasks.
        raw_samples: Raw samples it keeps at the end.
        findings: What was measured besides, see
            `avalanche_hsf.experiments.commands.diagnose`; empty for a run that was not looked into.
    """

    benchmark: str
    strategy: str
    seed: int
    epochs: int
    configuration: dict[str, Any]
    error_matrix: list[list[float | None]]
    forgetting: list[float | None]
    final_mean_error: float
    final_mean_error_of_mean_path: float | None
    seconds: float
    n_parameters: int
    floats_kept: int
    floats_per_task: float
    raw_samples: int
    findings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_matrix(cls, matrix: Tensor, **fields: Any) -> Run:
        """A run from its square matrix R, NaN where not measured, and the other fields."""
        return cls(
            error_matrix=[
                [_number(mse) if j <= i else None for j, mse in enumerate(row)]
                for i, row in enumerate(matrix)
            ],
            forgetting=[_number(gap) for gap in forgetting(matrix)],
            final_mean_error=float(matrix[-1].mean()),
            **fields,
        )

    @property
    def key(self) -> Key:
        """What makes two runs the same experiment."""
        return run_key(self.benchmark, self.strategy, self.seed, self.epochs, self.configuration)

    @property
    def mean_and_worst_forgetting(self) -> tuple[float, float]:
        """Over all tasks but the last; NaN for learners that train but once."""
        gaps = [gap for gap in self.forgetting[:-1] if gap is not None]
        return (sum(gaps) / len(gaps), max(gaps)) if gaps else (math.nan, math.nan)

    @property
    def matrix(self) -> Tensor:
        """R as a float64 tensor, NaN where it was not measured."""
        return torch.tensor(
            [[float("nan") if mse is None else mse for mse in row] for row in self.error_matrix],
            dtype=torch.float64,
        )


def run_key(
    benchmark: str,
    strategy: str,
    seed: int,
    epochs: int,
    configuration: Mapping[str, Any] | None = None,
) -> Key:
    """`Run.key` of a run that may not have been made yet.

    >>> run_key("synthetic", "mlp-naive", 42, 300)
    ('synthetic', 'mlp-naive', 42, 300, '{}')
    """
    chosen = json.dumps(dict(configuration or {}), sort_keys=True)
    return benchmark, strategy, seed, epochs, chosen


def _number(value: Tensor) -> float | None:
    return None if torch.isnan(value) else float(value)


class ResultsFile:
    """`results.json` in an output folder: `{"versions": {...}, "runs": [...]}`, a run a line.

    It is written after every run, so a command that is stopped loses at most the run it was in,
    and finds the others when it is started again.

    Args:
        out: The folder; made if it does not exist.
        fresh: Start from an empty file instead of the runs that are there.

    Raises:
        OSError: The folder cannot be made or written.
        ValueError: The file that is there is no results file, or was written by other versions
            of this package or of what it computes with.
    """

    def __init__(self, out: str | Path, *, fresh: bool = False) -> None:
        self.folder = Path(out)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder):
            pass
        self.path = self.folder / "results.json"
        self.versions = versions()
        self.runs: list[Run] = []
        self._fresh = fresh
        if self.path.exists() and not fresh:
            self.runs = self._read()

    def find(self, key: Key) -> Run | None:
        """The run with that `Run.key`, or None."""
        return next((run for run in self.runs if run.key == key), None)

    def add(self, run: Run) -> None:
        """Adds a run, in place of one with its key, and writes the file, whole or not at all.

        What other commands have added to the file in the meantime is kept.
        """
        with FileLock(self.path.with_suffix(".lock")):
            others = self._read() if self.path.exists() and not self._fresh else []
            self._fresh = False
            by_key = {each.key: each for each in [*others, *self.runs, run]}
            # Sorted, so that the file does not depend on which run was finished first.
            self.runs = sorted(
                by_key.values(),
                key=lambda each: (*each.key[:2], each.epochs, each.key[4], each.seed),
            )
            lines = ",\n".join(json.dumps(asdict(each)) for each in self.runs)
            head = json.dumps(self.versions)
            scratch = self.path.with_suffix(".json.part")
            scratch.write_text(f'{{"versions": {head}, "runs": [\n{lines}\n]}}\n')
            os.replace(scratch, self.path)

    def _read(self) -> list[Run]:
        try:
            content = json.loads(self.path.read_text())
            found, runs = content["versions"], [Run(**run) for run in content["runs"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self.path} is not a results file of this package; choose another --out, or "
                "--fresh to write it anew"
            ) from error
        other = {
            name: f"{found.get(name)} there, {now} now"
            for name, now in self.versions.items()
            if found.get(name) != now
        }
        if other:
            differences = "; ".join(f"{name} {both}" for name, both in other.items())
            raise ValueError(
                f"{self.path} was written with other versions ({differences}): choose another "
                "--out, or --fresh to train anew"
            )
        return runs


def versions() -> dict[str, str]:
    """Versions of this package and of everything its numbers depend on."""
    return {
        "avalanche_hsf": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "avalanche": version("avalanche-lib"),
        "torchsde": version("torchsde"),
        "nflows": version("nflows"),
    }
