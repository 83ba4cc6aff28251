"""Workers of this machine end with the process that started them, however that ended.

Dask loads this in each of them, see `dask_setup`. It watches the parent itself, by a pipe; that
did not end workers in every environment, and nothing here depends on it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any

EVERY = 0.5
"""Seconds between two looks at the parent."""

_PR_SET_PDEATHSIG = 1


def dask_setup(worker: Any) -> None:
    """Called by Dask in a new worker."""
    end_with_parent()


def end_with_parent() -> None:
    """Kills this process soon after its parent is gone."""
    parent = os.getppid()
    if sys.platform == "linux":
        # The system does it even while a long operation holds the interpreter's lock.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="watch parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY)
    os._exit(1)
