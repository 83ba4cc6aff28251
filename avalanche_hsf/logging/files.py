"""A log of lines, each complete or not there at all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avalanche_hsf.checks import check_bool, check_path, shown


class LineFile:
    """A file that grows by whole lines; it is open only while it is written.

    Lines that cannot be written, as on a full disk, are kept and tried again with the next ones.

    Args:
        path: The file; its folder is made.
        header: What a new file begins with.
        start: How the first line of every such file begins.
        append: Whether lines that are there stay; a last line that was cut by a kill does not.
        is_first: Whether a whole line is the first of such a file.

    Raises:
        OSError: It cannot be written.
        ValueError: It is a file of something else.
    """

    def __init__(
        self,
        path: str | Path,
        header: str,
        *,
        start: str,
        append: bool,
        is_first: Callable[[str], bool],
    ) -> None:
        self.path = check_path("path", path).absolute()
        self.header = header
        self._unwritten = ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab" if check_bool("append", append) else "wb"):
                pass
            os.truncate(self.path, self._checked(start.encode(), is_first))
            with open(self.path, "ab") as file:
                file.write(b"" if file.tell() else header.encode())
        except OSError as error:
            why = error.strerror or error
            raise type(error)(f"{path} cannot be written: {why}; give another path") from error

    def _checked(self, start: bytes, is_first: Callable[[str], bool]) -> int:
        """The length of the whole lines, if they are of such a file."""
        with open(self.path, "rb") as file:
            first = line = file.readline()
            whole = 0
            while line.endswith(b"\n"):
                whole += len(line)
                line = file.readline()
        is_ours = is_first(first.decode(errors="replace"))
        if not whole:  # nothing, or the beginning of a first line
            is_ours = start.startswith(first) or first.startswith(start)
        if not is_ours:
            raise ValueError(
                f"{self.path} begins with {shown(first.decode(errors='replace'))}, it is no log of "
                "this kind; give another path, or append=False to write over it"
            )
        return whole

    def write(self, lines: str) -> None:
        """Appends whole lines."""
        was_kept = bool(self._unwritten)
        self._unwritten += lines
        if not self._unwritten:
            return
        try:
            self._append(self._unwritten.encode(errors="backslashreplace"))
            self._unwritten = ""
        except OSError as error:
            if not was_kept:
                why = f"{self.path} cannot be written now: {error.strerror or error}"
                warnings.warn(f"{why}; the lines are kept and tried again", stacklevel=2)

    def _append(self, content: bytes) -> None:
        with open(self.path, "ab") as file:
            size = file.tell()
            try:
                file.write(content if size else self.header.encode() + content)
                file.flush()
            except OSError:
                os.truncate(self.path, size)
                raise

    def state_dict(self) -> dict[str, Any]:
        """How long the file is, and what it lacks."""
        size = self.path.stat().st_size if self.path.exists() else 0
        return {"size": size, "unwritten": self._unwritten}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cuts off what was written after the state was taken."""
        self._unwritten = state["unwritten"]
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < state["size"]:
            lacks = f"{self.path} has {size} bytes of the {state['size']} when the checkpoint"
            warnings.warn(f"{lacks} was made: lines are missing, it goes on", stacklevel=2)
        else:
            os.truncate(self.path, state["size"])
