"""Files that are written whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

OLD = 600.0
"""Seconds after which nobody is writing a file any more."""


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file, on the disk when this returns; a file that was there stays until then.

    Links are followed, and permissions kept.

    Args:
        path: Of the file; its folder must exist.
        content: All of it.

    Raises:
        OSError: It cannot be written, or is read-only. What was there is untouched.
    """
    path = path.resolve()
    check_replaceable(path)
    remove_parts(path.parent, glob.escape(path.name))
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, scratch)
        os.replace(scratch, path)
    except BaseException:
        with suppress(OSError):  # on a full disk its space counts
            scratch.unlink()
        raise
    _sync_folder(path.parent)


def remove_parts(folder: Path, pattern: str) -> None:
    """Removes what processes that were killed have left of files of that name, and is old."""
    for part in folder.glob(f"{pattern}.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > OLD:
                part.unlink()


def check_writable(path: Path) -> None:
    """Makes the folder of a file, and raises OSError if it could not be written there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_replaceable(path)
        with tempfile.NamedTemporaryFile(dir=path.resolve().parent):
            pass
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


def check_replaceable(path: Path) -> None:
    """Raises OSError if there is something that must not be replaced: no file, or a read-only one.

    The superuser may write a read-only file; whoever made it so did not mean him to.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise OSError(f"{path} is no regular file; move it away")
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        raise OSError(f"{path} is read-only; make it writable")


def _sync_folder(folder: Path) -> None:
    """So that the new name outlasts a power cut, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
