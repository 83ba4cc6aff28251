"""Where runs are made: in this process, in several on this machine, or on a Dask cluster.

All give the same runs but for the seconds they took.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial
from pkgutil import resolve_name
from typing import Any

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from avalanche_hsf.checks import check_int
from avalanche_hsf.experiments.runs.jobs import Engine, Failure, Job, finish
from avalanche_hsf.experiments.runs.results import Run, versions

ATTEMPTS = 3
"""How often a run is begun before the death of its worker is its failure."""


def make_engine(jobs: int = 1, scheduler: str | None = None) -> Engine:
    """An engine: this process, `jobs` processes, or, with an address, a Dask cluster."""
    if scheduler is not None:
        return partial(on_cluster, address=scheduler)
    check_int("jobs", jobs, at_least=1)
    return in_process if jobs == 1 else partial(in_processes, n=jobs)


def in_process(jobs: Sequence[Job]) -> Iterator[tuple[Job, Run | Failure]]:
    """One after the other, each with a progress bar."""
    for job in jobs:
        yield job, finish(job, versions(), progress=True)


def in_processes(jobs: Sequence[Job], *, n: int) -> Iterator[tuple[Job, Run | Failure]]:
    """In n processes of this machine, of one thread each.

    The death of a process takes joblib's whole pool down, and nobody can say whose it was. What
    was not finished is begun anew; if a pool dies with nothing finished since, each of the runs
    that it was in goes into a pool of its own, where it fails alone after `ATTEMPTS`.
    """
    remaining = dict(enumerate(jobs))
    finished_any = True
    with _bar(jobs) as bar:

        def done(i: int, made: Run | Failure) -> tuple[Job, Run | Failure]:
            bar.update()
            return remaining.pop(i), made

        while remaining:
            if not finished_any:
                # Of what is left, the first n were under way: runs are handed out in order.
                for i in list(remaining)[:n]:
                    yield done(i, _alone(remaining[i]))
            finished_any = False
            try:
                for i, made in _pool(remaining, n):
                    finished_any = True
                    yield done(i, made)
            except TerminatedWorkerError:
                bar.write("a worker died, what was under way is begun anew", file=sys.stderr)


def _pool(jobs: Mapping[int, Job], n: int) -> Iterator[tuple[int, Run | Failure]]:
    with parallel_config("loky", inner_max_num_threads=1):
        pool = Parallel(n, return_as="generator_unordered", batch_size=1, pre_dispatch=n)
        yield from pool(delayed(_numbered)(i, job, versions()) for i, job in list(jobs.items()))


def _alone(job: Job) -> Run | Failure:
    for _ in range(ATTEMPTS):
        try:
            ((_, made),) = _pool({0: job}, 2)  # joblib makes a process only for more than one
            return made
        except TerminatedWorkerError:
            continue
    return Failure(f"its worker died {ATTEMPTS} times")


def on_cluster(jobs: Sequence[Job], *, address: str) -> Iterator[tuple[Job, Run | Failure]]:
    """On the workers of a Dask cluster, which must have this package, one run a worker at a time.

    Dask begins the run of a worker that died anew on another one.

    Args:
        jobs: What to run.
        address: Of the scheduler, such as "tcp://10.0.0.1:8786".

    Raises:
        ImportError: `distributed` is not installed, or this package not on any worker.
        OSError: That is no address, nobody answers there, or nobody does any more.
    """
    try:
        from distributed import Client, as_completed
        from distributed.comm.addressing import get_address_host_port, normalize_address
    except ImportError as error:
        raise ImportError(
            "a Dask scheduler needs the package distributed (pip install distributed)"
        ) from error
    try:
        get_address_host_port(normalize_address(address), strict=True)
    except ValueError as error:
        raise OSError(f"{error}; an address is like tcp://10.0.0.1:8786") from error
    with warnings.catch_warnings(), Client(address, timeout="10s", set_as_default=False) as client:
        # Other versions of Dask are its own concern; ours are compared in `finish`.
        warnings.filterwarnings("ignore", message="Mismatched versions")
        able = _able_workers(client)
        futures = {
            client.submit(
                finish, job, versions(), pure=False, retries=ATTEMPTS - 1, workers=able
            ): job
            for job in jobs
        }
        with _bar(jobs) as bar:
            for future in as_completed(futures, loop=client.loop):
                try:
                    problem = future.exception()  # there is one if its worker died too often
                    made = future.result() if problem is None else Failure(_first_line(problem))
                except CancelledError as error:
                    raise ConnectionError(
                        "lost the scheduler; finished runs are kept, the same command goes on"
                    ) from error
                bar.update()
                yield futures[future], made


def _able_workers(client: Any) -> list[str] | None:
    """The workers that have this package; None if all have, those to come included.

    One without it dies of the first job that it is sent, and Dask begins that anew for ever.
    """
    if not client.scheduler_info()["workers"]:
        print("the cluster has no workers; waiting for one", file=sys.stderr)
        client.wait_for_workers(1)
    found = client.run(resolve_name, "avalanche_hsf:__version__", on_error="return")
    lacking = {worker: each for worker, each in found.items() if isinstance(each, BaseException)}
    for worker, problem in lacking.items():
        print(f"worker {worker} is left out: {_first_line(problem)}", file=sys.stderr)
    if len(lacking) == len(found):
        raise ImportError("no worker of the cluster has avalanche-hsf installed")
    return [worker for worker in found if worker not in lacking] if lacking else None


def _numbered(i: int, job: Job, expected: dict[str, str]) -> tuple[int, Run | Failure]:
    return i, finish(job, expected)


def _bar(jobs: Sequence[Job]) -> tqdm:
    return tqdm(total=len(jobs), unit="run", smoothing=0)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
