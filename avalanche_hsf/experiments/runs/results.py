"""The file that keeps finished runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from avalanche_hsf import __version__
from avalanche_hsf.checks import check_non_negative
from avalanche_hsf.experiments.runs.elsewhere import Elsewhere
from avalanche_hsf.experiments.runs.place import FILE, lock_of, make_place
from avalanche_hsf.experiments.runs.record import Key, Run
from avalanche_hsf.experiments.runs.text import runs_of_text, text_of_runs
from avalanche_hsf.experiments.runs.unfinished import UnfinishedRuns
from avalanche_hsf.whole import write_whole

CHECKPOINT_EVERY = 60.0
"""Default seconds between the checkpoints of a run."""

PATIENCE = 30.0
"""Seconds to wait for the lock of a file before its runs are written elsewhere."""


class ResultsFile:
    """`results.json` in an output folder: `{"versions": {...}, "runs": [...]}`, one run per line.

    It is written after every run, so a command that is stopped loses at most the run it was in,
    and finds the others when it is started again. Where it cannot be written, as on a full disk,
    the runs stay in memory and are written elsewhere, and the next run tries again.

    Args:
        out: The folder, made if it does not exist; None: runs are kept in memory alone.
        fresh: Start from an empty file instead of the runs that are there, and from no checkpoint.
        checkpoint_every: Seconds between the checkpoints of a run, see `UnfinishedRuns`.

    Attributes:
        unfinished: The checkpoints of runs; None in memory.

    Raises:
        OSError: The folder cannot be made or written, or the file or its lock is read-only.
        ValueError: The file that is there is no results file, or was written by other versions
            of this package or of the libraries it computes with.
    """

    def __init__(
        self,
        out: str | Path | None,
        *,
        fresh: bool = False,
        checkpoint_every: float = CHECKPOINT_EVERY,
    ) -> None:
        check_non_negative("checkpoint_every", checkpoint_every)
        self.versions = versions()
        self.runs: list[Run] = []
        self._fresh = fresh
        self._in_memory = out is None
        self.folder = Path(out or ".")
        self.path = self.folder / FILE
        self._elsewhere = Elsewhere(self.path.name)
        self.unfinished: UnfinishedRuns | None = None
        if out is None:
            return
        self.unfinished = UnfinishedRuns(self.folder / "checkpoints", checkpoint_every)
        make_place(self.folder)
        if fresh:
            self.unfinished.forget()
        elif self.path.exists():
            self.runs = self._read()
            if n_old := sum(not run.inputs for run in self.runs):
                print(
                    f"{self.path}: {n_old} runs are from before runs knew what their numbers "
                    "depend on; they are taken as they are, --fresh trains anew",
                    file=sys.stderr,
                )

    @property
    def is_misplaced(self) -> bool:
        """Whether something could not be written where it belongs."""
        return self._elsewhere.is_used

    def find(self, key: Key) -> Run | None:
        """The run with that `Run.key`, else one of an older file that has no digest, or None."""
        by_key = {run.key: run for run in self.runs}
        return by_key.get(key, by_key.get(key.without_inputs))

    def add(self, run: Run) -> None:
        """Adds a run, in place of one with its key, and writes the file, whole or not at all.

        What other commands have added to the file in the meantime is kept.
        """
        self.runs = _merged(self.runs, [run])
        self.save()

    def save(self) -> None:
        """Writes the file; where that fails says so, and writes it elsewhere."""
        if self._in_memory:
            return
        try:
            self._write()
        except (OSError, ValueError, NotImplementedError) as error:
            content = text_of_runs(self.runs, self.versions).encode()
            self._elsewhere.write(self.path, content, error)
        else:
            self._elsewhere.forget(self.path)

    def write_beside(self, name: str, content: bytes) -> Path | None:
        """Writes another file into the folder, or elsewhere; its path, None if nowhere."""
        path = self.folder / name
        try:
            write_whole(path, content)
        except OSError as error:
            return self._elsewhere.write(path, content, error)
        return path

    def close(self) -> Path | None:
        """Tries for the last time to write what could not be written; its path, None if nowhere.

        Runs that can be written nowhere are printed on standard error.
        """
        if self.unfinished is not None:
            self.unfinished.tidy()
        if self._elsewhere.lacks(self.path):
            self.save()
        if not self._elsewhere.lacks(self.path):
            return self.path
        if (path := self._elsewhere.path_of(self.path)) is None:
            print(text_of_runs(self.runs, self.versions), file=sys.stderr)
        return path

    def _write(self) -> None:
        with _locked(lock_of(self.path), patience=1.0 if self.is_misplaced else PATIENCE):
            others = self._read() if self.path.exists() and not self._fresh else []
            # Sorted, so that the file does not depend on which run was finished first.
            runs = sorted(_merged(others, self.runs), key=_place)
            write_whole(self.path, text_of_runs(runs, self.versions).encode())
            self.runs, self._fresh = runs, False

    def _read(self) -> list[Run]:
        try:
            runs, written = runs_of_text(self.path.read_text(encoding="utf-8"))
            differences = _differences(written, self.versions)
        except ValueError as error:
            raise ValueError(
                f"{self.path} is not a results file of this package ({error}); choose another "
                "--out, or --fresh to write it anew"
            ) from error
        if differences:
            raise ValueError(
                f"{self.path} was written with other versions ({differences}): choose another "
                "--out, or --fresh to train anew"
            )
        return runs


@contextmanager
def _locked(path: Path, *, patience: float) -> Iterator[None]:
    """Holds a lock file; says so when another command holds it.

    Raises:
        OSError: It cannot be opened, or was not free in time.
        NotImplementedError: The file system has no locks.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=min(patience, 1.0))
    except Timeout:
        print(f"waiting for {path}, which another command holds", file=sys.stderr)
        lock.acquire(timeout=patience)
    try:
        yield
    finally:
        lock.release()


def _merged(runs: Sequence[Run], newer: Sequence[Run]) -> list[Run]:
    """The runs, those that are newer in place of those with their key, with a digest or without."""
    by_key = {run.key: run for run in [*runs, *newer]}
    for run in newer:
        if run.inputs:
            by_key.pop(run.key.without_inputs, None)
    return list(by_key.values())


def _place(run: Run) -> tuple[Any, ...]:
    key = run.key
    return (*key[:2], key.network, run.epochs, key.configuration, run.seed, run.inputs)


def _differences(written: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The versions that differ, in words; older files name fewer, and Python's with its patch."""
    written = {name: written[name] for name in now if name in written}
    if "python" in written:
        written["python"] = ".".join(written["python"].split(".")[:2])
    missing = {"avalanche_hsf", "torch"} - set(written)
    if missing:
        raise ValueError(f"it does not name its version of {', '.join(sorted(missing))}")
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
