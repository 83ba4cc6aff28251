"""The file that keeps finished runs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from avalanche_hsf import __version__
from avalanche_hsf.experiments.runs.record import Key, Run


class ResultsFile:
    """`results.json` in an output folder: `{"versions": {...}, "runs": [...]}`, one run per line.

    It is written after every run, so a command that is stopped loses at most the run it was in,
    and finds the others when it is started again.

    Args:
        out: The folder, made if it does not exist; None: runs are kept in memory alone.
        fresh: Start from an empty file instead of the runs that are there.

    Raises:
        OSError: The folder cannot be made or written.
        ValueError: The file that is there is no results file, or was written by other versions
            of this package or of the libraries it computes with.
    """

    def __init__(self, out: str | Path | None, *, fresh: bool = False) -> None:
        self.versions = versions()
        self.runs: list[Run] = []
        self._fresh = fresh
        self._in_memory = out is None
        self.folder = Path(out or ".")
        self.path = self.folder / "results.json"
        if out is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder):
            pass
        if self.path.exists() and not fresh:
            self.runs = self._read()
            if n_old := sum(not run.inputs for run in self.runs):
                print(
                    f"{self.path}: {n_old} runs are from before runs knew what their numbers "
                    "depend on; they are taken as they are, --fresh trains anew",
                    file=sys.stderr,
                )

    def find(self, key: Key) -> Run | None:
        """The run with that `Run.key`, else one of an older file that has no digest, or None."""
        by_key = {run.key: run for run in self.runs}
        return by_key.get(key, by_key.get(key.without_inputs))

    def add(self, run: Run) -> None:
        """Adds a run, in place of one with its key, and writes the file, whole or not at all.

        What other commands have added to the file in the meantime is kept.
        """
        if self._in_memory:
            self.runs = list({r.key: r for r in [*self.runs, run]}.values())
            return
        with FileLock(self.path.with_suffix(".lock")):
            others = self._read() if self.path.exists() and not self._fresh else []
            self._fresh = False
            by_key = {r.key: r for r in [*others, *self.runs, run]}
            if run.inputs:
                by_key.pop(run.key.without_inputs, None)
            # Sorted, so that the file does not depend on which run was finished first.
            self.runs = sorted(by_key.values(), key=_place)
            lines = ",\n".join(json.dumps(asdict(run)) for run in self.runs)
            head = json.dumps(self.versions)
            scratch = self.path.with_suffix(".json.part")
            scratch.write_text(f'{{"versions": {head}, "runs": [\n{lines}\n]}}\n')
            os.replace(scratch, self.path)

    def _read(self) -> list[Run]:
        try:
            content = json.loads(self.path.read_text())
            runs = [_run(fields) for fields in content["runs"]]
            differences = _differences(content["versions"], self.versions)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self.path} is not a results file of this package; choose another --out, or "
                "--fresh to write it anew"
            ) from error
        if differences:
            raise ValueError(
                f"{self.path} was written with other versions ({differences}): choose another "
                "--out, or --fresh to train anew"
            )
        return runs


def _place(run: Run) -> tuple[Any, ...]:
    key = run.key
    return (*key[:2], key.network, run.epochs, key.configuration, run.seed, run.inputs)


def _run(fields: dict[str, Any]) -> Run:
    """A run from its fields; in older files its learner is called its strategy."""
    if "strategy" in fields:
        fields["learner"] = fields.pop("strategy")
    return Run(**fields)


def _differences(written: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The versions that differ, in words; older files name fewer, and Python's with its patch."""
    written = {name: written[name] for name in now if name in written}
    if "python" in written:
        written["python"] = ".".join(written["python"].split(".")[:2])
    missing = {"avalanche_hsf", "torch"} - set(written)
    if missing:
        raise KeyError(missing)
    return "; ".join(f"{n} {v} there, {now[n]} now" for n, v in written.items() if v != now[n])


def versions() -> dict[str, str]:
    """Versions of this package and of everything its numbers depend on.

    Of Python major and minor version alone: no patch release has changed a number.
    """
    libraries = ("torchsde", "nflows", "pytorch_optimizer", "torchmetrics", "numpy", "scikit-learn")
    return {
        "avalanche_hsf": __version__,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "torch": torch.__version__,  # with its build, which the package's metadata lacks
        "avalanche": version("avalanche-lib"),
        **{name: version(name) for name in libraries},
    }
