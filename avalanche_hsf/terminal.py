"""The command and whoever started it: signals that end it, and streams that may fail."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from types import FrameType
from typing import IO, Any

ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""Signals that ask a command to end."""


class Ended(KeyboardInterrupt):
    """A signal asked this process to end.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def signals_end() -> Iterator[None]:
    """Each of `ENDING` raises `Ended`, so that what was begun is put in order; a second one kills.

    Signals that are ignored, as under nohup, stay so. In threads nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        if raised:
            os._exit(128 + number)
        raised.append(number)
        raise Ended(number)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Signals of `ENDING` that come meanwhile take effect at the end.

    For what cannot be stopped halfway, as the start of processes. They are born deaf to Ctrl-C,
    which a terminal sends to every process: who began them ends them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, lambda number, frame: came.append(number))
    # Threads and processes inherit the mask of the thread that starts them.
    mask = getattr(signal, "pthread_sigmask", lambda how, mask: None)
    mask(getattr(signal, "SIG_BLOCK", 0), {signal.SIGINT})
    try:
        yield
    finally:
        mask(getattr(signal, "SIG_UNBLOCK", 0), {signal.SIGINT})
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def streams_survive() -> Iterator[Surviving]:
    """Standard output and error whose failure, as on a full disk, raises nothing; gives the output.

    A progress bar that cannot be drawn is no reason to lose a run.
    """
    out, error = Surviving(sys.stdout), Surviving(sys.stderr)
    with ExitStack() as stack:
        stack.callback(error.close_if_failed)
        stack.callback(out.close_if_failed)
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(error))
        yield out


class Surviving:
    """A stream that notes a failure to write instead of raising it.

    Args:
        stream: Where to write.

    Attributes:
        failure: The last error; None: there was none.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Writes what it can."""
        try:
            self._stream.write(text)
        except OSError as error:
            self.failure = error
        return len(text)

    def flush(self) -> None:
        """Flushes what it can."""
        try:
            self._stream.flush()
        except OSError as error:
            self.failure = error

    def close_if_failed(self) -> None:
        """Sends what is left of a failed stream nowhere; Python would fail over it as it ends."""
        self.flush()
        if self.failure is not None:
            with suppress(OSError, ValueError):  # it may have no descriptor
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
