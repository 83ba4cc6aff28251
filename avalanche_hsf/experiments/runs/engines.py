"""Where runs are made: in this process, or on the workers of a Dask cluster, here or elsewhere.

All give the same runs but for the seconds they took.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from multiprocessing import resource_tracker
from pkgutil import resolve_name
from typing import Any

from avalanche_hsf.checks import check_int
from avalanche_hsf.experiments.runs.jobs import (
    Engine,
    Failure,
    Task,
    computes_with,
    finish,
    finish_elsewhere,
)
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.extras import require
from avalanche_hsf.terminal import signals_wait

ATTEMPTS = 3
"""How often a run is begun before the death of its worker is its failure."""


@contextmanager
def make_engine(jobs: int = 1, scheduler: str | None = None) -> Iterator[Engine]:
    """An engine: this process, `jobs` processes, or, with an address, a Dask cluster.

    Processes are started by the first runs, serve all that come, and end with the context, or with
    this process, however that ends.

    Raises:
        MissingExtraError: Dask is needed and not installed.
    """
    if scheduler is not None:
        require(f"scheduler={scheduler!r}", "distributed", extra="dask")
        yield partial(on_cluster, address=scheduler)
    elif check_int("jobs", jobs, at_least=1) == 1:
        yield in_process
    else:
        require(f"jobs={jobs}", "distributed", extra="dask")
        with ExitStack() as started:
            client = cache(partial(_local_client, jobs, started))
            yield lambda tasks: _on_workers(client(), tasks, None)


def in_process(tasks: Sequence[Task]) -> Iterator[tuple[Task, Run | Failure]]:
    """One after the other, each with a progress bar."""
    for task in tasks:
        yield task, finish(task, progress=True)


def _local_client(n: int, started: ExitStack) -> Any:
    """A client of n new processes of this machine, of one thread each."""
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.worker-saturation": 1.0,  # no run waits at a busy worker
        "distributed.scheduler.allowed-failures": ATTEMPTS - 1,
        "distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": 1,
    }
    started.enter_context(dask.config.set(settings))
    # Python's tracker of semaphores outlives a process that was killed, and removes what Dask could
    # not; it is no fault of the user's, so it says nothing. It is started with these options.
    sys.warnoptions.append("ignore:resource_tracker")
    # Now, since starting it lets signals through again in the thread that does so.
    resource_tracker.ensure_running()
    with signals_wait():  # Dask cannot close what is half started
        cluster = LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            memory_limit=0,
            preload="avalanche_hsf.orphans",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        started.enter_context(cluster)
        return started.enter_context(Client(cluster, set_as_default=False))


def on_cluster(tasks: Sequence[Task], *, address: str) -> Iterator[tuple[Task, Run | Failure]]:
    """On the workers of a Dask cluster, which must have this package, one run at a time each.

    Dask begins the run of a worker that died anew on another one. A cluster runs whatever code it
    is sent: give it TLS, by Dask's setting distributed.comm.tls and an address like
    "tls://10.0.0.1:8786", or its own network.

    Args:
        tasks: What to run.
        address: Of the scheduler, such as "tcp://10.0.0.1:8786".

    Raises:
        ImportError: No worker has this package.
        OSError: It is no address, or the scheduler does not answer, or no longer does.
    """
    from distributed import Client, Security
    from distributed.comm.addressing import get_address_host_port, normalize_address

    try:
        get_address_host_port(normalize_address(address), strict=True)
    except ValueError as error:
        raise OSError(f"{error}; an address is like tcp://10.0.0.1:8786") from error
    if (
        address.startswith("tls:")
        and Security().get_connection_args("client")["ssl_context"] is None
    ):
        raise OSError(
            "there is no certificate for tls://: set ca-file, client.cert and client.key in Dask's "
            "setting distributed.comm.tls"
        )
    with warnings.catch_warnings(), Client(address, timeout="10s", set_as_default=False) as client:
        # Other versions of Dask are its own concern; ours are compared in `finish`.
        warnings.filterwarnings("ignore", message="Mismatched versions")
        yield from _on_workers(client, tasks, _able_workers(client))


def _on_workers(
    client: Any, tasks: Sequence[Task], able: list[str] | None
) -> Iterator[tuple[Task, Run | Failure]]:
    from distributed import as_completed

    options = {"pure": False, "retries": ATTEMPTS - 1, "workers": able}
    futures = {
        client.submit(finish_elsewhere, task, computes_with(task.job), **options): task
        for task in tasks
    }
    for future in as_completed(futures, loop=client.loop):
        try:
            error = future.exception()  # there is one if its worker died too often
            outcome = future.result() if error is None else Failure(_reason(error))
        except CancelledError as cancelled:
            raise ConnectionError(
                "lost the scheduler; finished runs are kept, the same command goes on"
            ) from cancelled
        yield futures[future], outcome


def _able_workers(client: Any) -> list[str] | None:
    """The workers that have this package; None if all have, those to come included.

    One without it dies of the first job that it is sent, and Dask begins that anew for ever.
    """
    if not client.scheduler_info()["workers"]:
        print("the cluster has no workers; waiting for one", file=sys.stderr)
        client.wait_for_workers(1)
    answers = client.run(resolve_name, "avalanche_hsf:__version__", on_error="return")
    lacking = {
        worker: answer for worker, answer in answers.items() if isinstance(answer, BaseException)
    }
    for worker, error in lacking.items():
        print(f"worker {worker} is left out: {_reason(error)}", file=sys.stderr)
    if len(lacking) == len(answers):
        raise ImportError("no worker of the cluster has avalanche-hsf installed")
    return [worker for worker in answers if worker not in lacking] if lacking else None


def _reason(error: BaseException) -> str:
    """A worker's error in one line; the place where it was raised stayed there."""
    if type(error).__name__ == "KilledWorker":
        return f"its worker died {ATTEMPTS} times"
    return f"{type(error).__name__}: {error}".splitlines()[0]
