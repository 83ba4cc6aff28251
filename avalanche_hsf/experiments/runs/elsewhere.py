"""Where files go that cannot be written where they belong."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from avalanche_hsf.whole import write_whole

_CANDIDATES: tuple[Callable[[], str | Path], ...] = (tempfile.gettempdir, Path.home, Path.cwd)


class Elsewhere:
    """A folder for such files, made when the first comes and removed when the last is forgotten.

    Args:
        resumable: Name of the file with which a command can go on in that folder.
    """

    def __init__(self, resumable: str) -> None:
        self._resumable = resumable
        self._folder: Path | None = None
        self._written: dict[Path, Path | None] = {}

    @property
    def is_used(self) -> bool:
        """Whether there are such files."""
        return bool(self._written)

    def lacks(self, path: Path) -> bool:
        """Whether the file that belongs to `path` is not there."""
        return path in self._written

    def path_of(self, path: Path) -> Path | None:
        """Where it is instead; None: nowhere."""
        return self._written.get(path)

    def write(self, path: Path, content: bytes, reason: Exception) -> Path | None:
        """Writes a file that belongs to `path`, and says once where it is.

        Args:
            path: Where it could not be written.
            content: All of it.
            reason: Why not.

        Returns:
            Where it is; None: nowhere.
        """
        known = path in self._written
        before = self._written.get(path)
        self._written[path] = place = self._place(path.name, content)
        if not known or place != before:
            why = getattr(reason, "strerror", None) or reason
            where = f"it is in {place}" if place else "nor anywhere else; it is kept in memory"
            resume = path.name == self._resumable
            then = "; every run tries again" if resume else ""
            also = f", and --out {place.parent} goes on there" if resume and place else ""
            print(f"cannot write {path}: {why}; {where}{also}{then}", file=sys.stderr)
        return place

    def forget(self, path: Path) -> None:
        """Removes the file that stood in for `path`, which is written by now."""
        if path not in self._written:
            return
        place = self._written.pop(path)
        print(f"{path} is written again", file=sys.stderr)
        with suppress(OSError):
            if place is not None:
                place.unlink()
            if self._folder is not None and not self._written:
                self._folder.rmdir()
                self._folder = None

    def _place(self, name: str, content: bytes) -> Path | None:
        for folder in self._folders():
            with suppress(OSError):
                write_whole(folder / name, content)
                self._folder = folder
                return folder / name
        return None

    def _folders(self) -> Iterator[Path]:
        """The folder in use, then new ones; one in which nothing can be written is removed."""
        if self._folder is not None:
            yield self._folder
        for candidate in _CANDIDATES:
            with suppress(OSError, RuntimeError):  # a user may have no home
                folder = Path(tempfile.mkdtemp(prefix="avalanche-hsf-", dir=candidate()))
                yield folder
                folder.rmdir()
