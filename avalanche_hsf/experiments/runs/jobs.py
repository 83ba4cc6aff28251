"""Many independent runs: taken from the results file, or made by an engine and kept there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from avalanche_hsf.experiments.runs.results import Key, ResultsFile, Run, run_key, versions
from avalanche_hsf.experiments.runs.run import run

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One run to be made: the arguments of `run`, and what makes it.

    Attributes:
        work: Called with the arguments of `run`; known by name in its module, so that other
            processes find it.
        has_findings: Whether what it makes has findings, so that a run without does not do.
    """

    benchmark: str
    strategy: str
    seed: int
    epochs: int
    configuration: Mapping[str, Any] = field(default_factory=dict)
    work: Callable[..., Run] = run
    has_findings: bool = False

    @property
    def key(self) -> Key:
        """Of the run that it makes."""
        return run_key(self.benchmark, self.strategy, self.seed, self.epochs, self.configuration)

    def __str__(self) -> str:
        chosen = f", {dict(self.configuration)}" if self.configuration else ""
        return f"{self.strategy} on {self.benchmark}, seed {self.seed}{chosen}"


@dataclass(frozen=True)
class Failure:
    """A run that was not finished, and why, in one line."""

    reason: str


Engine = Callable[[Sequence[Job]], Iterator[tuple[Job, "Run | Failure"]]]
"""Makes the runs of some jobs and gives each as it is finished, in any order."""


def make(results: ResultsFile, jobs: Sequence[Job], engine: Engine) -> list[Run | None]:
    """The runs of some jobs, in their order; None for one that failed.

    Those that the results file holds already are taken from it, others are kept there as they are
    finished. One that fails is reported on standard error and does not lose the others.
    """
    missing = {job.key: job for job in jobs if not _held(results, job)}
    n_all = len({job.key for job in jobs})
    if 0 < len(missing) < n_all:
        print(f"{n_all - len(missing)} of {n_all} runs are in {results.path}", file=sys.stderr)
    for job, made in engine(list(missing.values())) if missing else ():
        if isinstance(made, Failure):
            print(f"failed: {job}: {made.reason}", file=sys.stderr)
        else:
            results.add(made)
    return [results.find(job.key) if _held(results, job) else None for job in jobs]


Plan = Generator[Sequence[Job], Sequence["Run | None"], T]
"""What runs need the outcome of earlier ones: yields jobs, receives their runs, returns a value."""


def carry_out(results: ResultsFile, plans: Sequence[Plan[T]], engine: Engine) -> list[T]:
    """Carries out several plans side by side: what each asks for next is made together."""
    returned: dict[int, T] = {}
    asked: dict[int, Sequence[Job]] = {}

    def go_on(i: int, runs: Sequence[Run | None] | None) -> None:
        try:
            asked[i] = plans[i].send(runs)  # type: ignore[arg-type]  # None starts it
        except StopIteration as finished:
            returned[i] = finished.value

    for i in range(len(plans)):
        go_on(i, None)
    while asked:
        now, asked = asked, {}
        made = iter(make(results, [job for jobs in now.values() for job in jobs], engine))
        for i, jobs in now.items():
            go_on(i, [next(made) for _ in jobs])
    return [returned[i] for i in range(len(plans))]


_ONE_AT_A_TIME = threading.Lock()


def finish(job: Job, expected: Mapping[str, str], *, progress: bool = False) -> Run | Failure:
    """Makes one run wherever this is called, in any process; what goes wrong is returned.

    Args:
        job: What to run.
        expected: The `versions` that the results file is of.
        progress: Show a progress bar.
    """
    here = versions()
    if here != expected:
        other = ", ".join(f"{name} {here[name]}" for name in here if here[name] != expected[name])
        return Failure(f"the worker computes with other versions: {other}")
    # Threads of one process share torch's global generators.
    with _ONE_AT_A_TIME:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return job.work(
                job.benchmark,
                job.strategy,
                seed=job.seed,
                epochs=job.epochs,
                configuration=job.configuration,
                progress=progress,
            )
        except Exception as error:
            return Failure(f"{type(error).__name__}: {error}".splitlines()[0])
        finally:
            torch.set_num_threads(threads)


def _held(results: ResultsFile, job: Job) -> bool:
    found = results.find(job.key)
    return found is not None and (bool(found.findings) or not job.has_findings)
