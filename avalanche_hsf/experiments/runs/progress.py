"""How far many runs are, on standard error: bars on a terminal, else a line for each run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def counted(finished: Iterable[T], total: int, what: str) -> Iterator[tuple[str, T]]:
    """What is finished, each with its place, such as "run 7 of 22"; on a terminal under a bar.

    Args:
        finished: The runs, as they are finished.
        total: How many there will be.
        what: What they are, such as "run".
    """
    disable = None if total else True  # a bar of nothing tells nothing
    with _bar(total=total, desc=what, unit="run", smoothing=0, disable=disable) as bar:
        for n, each in enumerate(finished, start=1):
            bar.update()
            yield f"{what} {n} of {total}", each


def inner_bar(title: str, total: int, unit: str, *, shown: bool = True) -> Any:
    """A bar of what happens within a run, on a terminal alone, and gone when it is over."""
    return _bar(total=total, desc=title, unit=unit, leave=False, disable=None if shown else True)


def say(line: str) -> None:
    """Writes a line to standard error, above the bars."""
    tqdm.write(line, file=sys.stderr)


def say_unless_bars(line: str) -> None:
    """Writes a line where no bar is seen."""
    if not sys.stderr.isatty():
        print(line, file=sys.stderr)


def _bar(**options: Any) -> Any:
    """As wide as the terminal, since two bars that wrap would tear each other."""
    columns, lines = shutil.get_terminal_size()  # tqdm takes a terminal of unknown size for none
    return tqdm(ncols=columns, nrows=lines, **options)
