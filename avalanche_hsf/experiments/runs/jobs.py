"""Many independent runs: taken from the results file, or made by an engine and kept there."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from avalanche_hsf.addresses import load
from avalanche_hsf.benchmarks.files import DATA_ROOT, data_at
from avalanche_hsf.experiments.runs.digest import digest_of
from avalanche_hsf.experiments.runs.doors import Named, find_learner, find_problem, label_of
from avalanche_hsf.experiments.runs.progress import counted, say, say_unless_bars
from avalanche_hsf.experiments.runs.record import Key, Run, Runs
from avalanche_hsf.experiments.runs.results import ResultsFile, versions
from avalanche_hsf.experiments.runs.run import run, silence_avalanche
from avalanche_hsf.experiments.runs.sources import text_of
from avalanche_hsf.experiments.runs.unfinished import Unfinished


@dataclass(frozen=True)
class Job:
    """One run to be made: the arguments of `run`, and what makes it.

    Attributes:
        benchmark: A name, an address or a problem, see `find_problem`. What is named is looked up
            where the run is made; the rest travels there.
        learner: A name, an address or a learner, see `find_learner`.
        seed: At least 0.
        epochs: Epochs per experience.
        configuration: Arguments of the learner.
        name: Of the learner in tables and files; default: as it is called.
        network: See `find_problem`.
        criterion: See `find_problem`.
        mb_size: See `find_problem`.
        work: Called with the arguments of `run`; a module-level function.
        finding: Name of what it finds: a cached run without that is made again; "": any will do.
    """

    benchmark: Named
    learner: Named
    seed: int
    epochs: int
    configuration: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    network: Named = None
    criterion: Named = None
    mb_size: int | None = None
    work: Callable[..., Run] = run
    finding: str = ""

    @property
    def arguments(self) -> dict[str, Any]:
        """Of `run`, by name."""
        return {
            "benchmark": find_problem(
                self.benchmark, self.network, criterion=self.criterion, mb_size=self.mb_size
            ),
            "learner": find_learner(self.learner),
            "seed": self.seed,
            "epochs": self.epochs,
            "configuration": self.configuration,
            "name": self.name or label_of(self.learner),
        }

    @property
    def key(self) -> Key:
        """Of the run that it makes."""
        arguments = self.arguments
        return Key(
            benchmark=label_of(self.benchmark),
            learner=self.name or label_of(self.learner),
            seed=self.seed,
            epochs=self.epochs,
            configuration=json.dumps(dict(self.configuration), sort_keys=True),
            network="" if self.network is None else label_of(self.network),
            inputs=digest_of(arguments["benchmark"], arguments["learner"], versions()),
        )

    def __str__(self) -> str:
        chosen = f", {dict(self.configuration)}" if self.configuration else ""
        name = self.name or label_of(self.learner)
        return f"{name} on {label_of(self.benchmark)}, seed {self.seed}{chosen}"


@dataclass(frozen=True)
class Failure:
    """A run that was not finished, and why, in one line."""

    reason: str


class Task(NamedTuple):
    """A run to be made.

    Attributes:
        job: What to run.
        key: That it will have.
        unfinished: Where it keeps checkpoints.
        data_root: Where data sets lie, if their folder was given; not part of the key.
    """

    job: Job
    key: Key
    unfinished: Unfinished | None = None
    data_root: str | None = None


Engine = Callable[[Sequence[Task]], Iterator[tuple[Task, "Run | Failure"]]]
"""Makes the runs of some jobs and gives each as it is finished, in any order."""


def make(
    results: ResultsFile,
    jobs: Sequence[Job],
    engine: Engine,
    failures: list[str] | None = None,
    *,
    what: str = "run",
) -> list[Run | None]:
    """The runs of some jobs, in their order; None for one that failed.

    Those that the results file holds already are taken from it, others are kept there as they are
    finished. One that fails is reported on standard error, and in `failures`, and does not lose
    the others. Standard error shows how far they are, and calls each `what`.
    """
    tasks = [_task(results, job) for job in jobs]
    missing = {task.key: task for task in tasks if not _held(results, task)}
    n_all = len({task.key for task in tasks})
    if 0 < len(missing) < n_all:
        print(f"{n_all - len(missing)} of {n_all} runs are in {results.path}", file=sys.stderr)
    finished = engine(list(missing.values())) if missing else ()
    for place, (task, outcome) in counted(finished, len(missing), what):
        job = task.job
        if isinstance(outcome, Failure):
            say(f"failed: {job}: {outcome.reason}")
            if failures is not None:
                failures.append(f"{job}: {outcome.reason}")
            continue
        if outcome.diverged:
            say(f"diverged: {job}: {outcome.diverged}")
        say_unless_bars(f"{place}: {job}: {outcome.seconds:.3g} s")
        results.add(outcome)
        if task.unfinished is not None and not results.is_misplaced:
            task.unfinished.forget()
    return [results.find(task.key) if _held(results, task) else None for task in tasks]


def make_all(results: ResultsFile, jobs: Sequence[Job], engine: Engine) -> Runs:
    """As `make`, but the finished runs and the failures together."""
    failures: list[str] = []
    runs = make(results, jobs, engine, failures)
    learners = list(dict.fromkeys(job.name or label_of(job.learner) for job in jobs))
    seeds = list(dict.fromkeys(job.seed for job in jobs))
    finished = [run for run in runs if run is not None]
    return Runs(finished, failures, learners=learners, seeds=seeds)


_ONE_AT_A_TIME = threading.Lock()


def finish_elsewhere(task: Task, expected: Mapping[str, str]) -> Run | Failure:
    """`finish` on a worker, after a check that it computes the same.

    Args:
        task: What to run.
        expected: What `computes_with` gave where the key was computed.
    """
    try:
        here = computes_with(task.job)
    except Exception as error:
        return Failure(_reason(error))
    for name, value in here.items():
        if value != expected[name]:
            return Failure(f"the worker computes with another {name}: {value}")
    if task.unfinished is not None and not task.unfinished.folder.parents[1].is_dir():
        task = task._replace(unfinished=None)  # the worker does not see the folder
    return finish(task)


def computes_with(job: Job) -> dict[str, str]:
    """The versions that count, and digests of the text of a user's modules that a job names."""
    named = (job.benchmark, job.learner, job.network, job.criterion)
    modules = sorted({n.partition(":")[0] for n in named if isinstance(n, str) and ":" in n})
    for address in modules:
        load(f"{address}:__name__")
    return versions() | {f"text of {name}": text_of(sys.modules[name]) for name in modules}


def finish(task: Task, *, progress: bool = False) -> Run | Failure:
    """Makes one run in this process; what goes wrong is returned.

    Args:
        task: What to run.
        progress: Show a progress bar.
    """
    job, key, unfinished, root = task
    if root is not None and not Path(root).is_dir():
        root = None  # a worker elsewhere may have them in a folder of its own
    # Threads of one process share torch's global generators.
    with _ONE_AT_A_TIME:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            silence_avalanche()
            with data_at(root):
                finished = job.work(**job.arguments, progress=progress, unfinished=unfinished)
            return replace(
                finished,
                benchmark=key.benchmark,
                network=key.network,
                inputs=key.inputs,
            )
        except (Exception, SystemExit) as error:  # a user's code may call sys.exit
            return Failure(_reason(error))
        finally:
            torch.set_num_threads(threads)


def _reason(error: BaseException) -> str:
    """An error in one line, with the place where a user's own code raised it."""
    line = " ".join(f"{type(error).__name__}: {error}".split("\n")[0].split())
    place = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(__file__).resolve().parents[2]
    file = Path(place.filename).resolve()
    is_theirs = not file.is_relative_to(ours) and "site-packages" not in file.parts
    return f"{line} ({file.name}:{place.lineno})" if is_theirs else line


def _task(results: ResultsFile, job: Job) -> Task:
    key, kept = job.key, results.unfinished
    unfinished = None if kept is None else kept.of(key, job.work.__qualname__)
    return Task(job, key, unfinished, os.environ.get(DATA_ROOT))


def _held(results: ResultsFile, task: Task) -> bool:
    found = results.find(task.key)
    if found is None:
        return False
    # What diverged has nothing to be found.
    return not task.job.finding or task.job.finding in found.findings or bool(found.diverged)
