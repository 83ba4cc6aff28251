"""Where a results file is kept. Nothing here imports torch."""

from __future__ import annotations

import tempfile
from pathlib import Path

from avalanche_hsf.whole import check_replaceable

FILE = "results.json"


def lock_of(path: Path) -> Path:
    """Beside the file itself, so that it is one for all links to it."""
    return path.resolve().with_suffix(".lock")


def make_place(folder: Path) -> None:
    """Makes a folder for results; OSError unless they and their lock can be written."""
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    check_replaceable(path)
    check_replaceable(lock_of(path))
    for each in {folder, path.resolve().parent}:
        with tempfile.NamedTemporaryFile(dir=each):
            pass


def check_place(folder: Path) -> None:
    """OSError if `make_place` would raise one; a folder that is not there is not made."""
    there = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    if there != folder:
        try:
            with tempfile.NamedTemporaryFile(dir=there):
                return
        except OSError:
            pass  # making it says why
    make_place(folder)
