"""A real Dask cluster for tests."""

import socket
import subprocess
import sys
from contextlib import contextmanager

from distributed import Client


@contextmanager
def running(workers):
    """A scheduler and workers, by name the folder each starts in; all processes by name."""
    processes = {}

    def start(name, *words, cwd=None):
        command = [sys.executable, "-m", "dask", *words]
        processes[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=cwd)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"tcp://127.0.0.1:{port}"
    start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    for name, cwd in workers.items():
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        start(name, "worker", address, "--name", name, *options, cwd=cwd)
    try:
        # No default client, which would hide that the engine needs one.
        with Client(address, timeout="60s", set_as_default=False) as client:
            client.wait_for_workers(len(workers), timeout=60)
            yield address, client, processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
