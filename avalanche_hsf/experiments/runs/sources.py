"""Whose code a module is, and the text of a user's, with all that it imports from the user."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import site
import struct
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

PACKAGE = Path(__file__).resolve().parents[2]
"""The folder of this package."""


def file_of(module: ModuleType | None) -> Path | None:
    """Where the text of a module lies; None for a prompt, a notebook or a builtin."""
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file is not None and Path(file).is_file() else None


def is_ours(module: ModuleType | None) -> bool:
    """Whether it belongs to this package."""
    return is_in_package(file_of(module))


def is_in_package(file: Path | None) -> bool:
    """Whether a file is one of this package's."""
    return file is not None and file.is_relative_to(PACKAGE)


def is_installed(module: ModuleType | None) -> bool:
    """Whether it belongs to Python or to an installed package, whose version says what it is."""
    name = "__main__" if module is None else module.__name__
    return name in sys.builtin_module_names or is_in_library(file_of(module))


def is_in_library(file: Path | None) -> bool:
    """Whether a file is Python's or an installed package's."""
    return file is not None and any(file.is_relative_to(folder) for folder in _library_folders())


def installed_version(module: ModuleType) -> str:
    """Of the distribution that an installed module comes with; "" for Python's own."""
    found = _distributions().get(module.__name__.partition(".")[0], [])
    return ", ".join(f"{name} {version(name)}" for name in sorted(set(found)))


def text_of(module: ModuleType) -> str:
    """A digest of the text of a user's module and of every one that it imports from the user.

    Imports are found in the text, those within functions too, and nothing is imported for it.
    Files are told by module name and content: they may lie elsewhere on another machine. One that
    was edited since it was imported is not what runs here, and is of this process alone.
    """
    file = file_of(module)
    return _text_from([(module.__name__, file, module.__package__ or "")] if file else [])


def text_of_name(name: str) -> str:
    """`text_of` a module that code without a file imports; of none that is not a user's."""
    return _text_from(list(_users_files(name, Path.cwd())))


def _text_from(todo: list[tuple[str, Path, str]]) -> str:
    texts: dict[Path, bytes] = {}
    while todo:
        name, file, package = todo.pop()
        if file not in texts:
            text = file.read_bytes()
            this_process = _PROCESS if _is_edited(name, file, len(text)) else ""
            texts[file] = f"{name} {this_process} ".encode() + text
            todo += _imported(file, package)
    return hashlib.sha256(b"\0".join(sorted(texts.values()))).hexdigest()


_PROCESS, _BEGUN = uuid4().hex, time.time()


def _is_edited(name: str, file: Path, size: int) -> bool:
    """Whether a module that was imported is older than its file, as its compiled form tells."""
    loaded, modified = sys.modules.get(name), file.stat().st_mtime
    if loaded is None or file_of(loaded) != file:
        return False
    if name == "__main__":
        return modified > _BEGUN
    compiled = Path(importlib.util.cache_from_source(str(file)))
    if not compiled.is_file():
        return False
    _, flags, *source = struct.unpack("<4sIII", compiled.read_bytes()[:16])
    return flags == 0 and source != [int(modified) & 0xFFFFFFFF, size & 0xFFFFFFFF]


def _imported(file: Path, package: str) -> Iterator[tuple[str, Path, str]]:
    """The user's modules that a file imports: name, file and package of each."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # no Python, or one of another version that an `except` provides for
    for node in ast.walk(tree):
        names: list[Any] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            stem = "." * node.level + (node.module or "")
            with suppress(ImportError):  # relative, outside of a package
                base = importlib.util.resolve_name(stem, package) if node.level else stem
                names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and _callee(node) in ("import_module", "__import__"):
            names = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
        for name in names:
            yield from _users_files(str(name), file.parent)


def _callee(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _users_files(name: str, beside: Path) -> Iterator[tuple[str, Path, str]]:
    """The modules of a dotted name and of the packages above it, as far as they are a user's."""
    where: list[str] | None = [*sys.path, str(beside)]
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:end]), where)
        if spec is None:
            return
        file = Path(spec.origin).resolve() if spec.has_location and spec.origin else None
        if file is not None and file.is_file():
            if is_in_library(file) or is_in_package(file):
                return
            yield spec.name, file, spec.parent or ""
        where = list(spec.submodule_search_locations or [])


def _spec(name: str, where: list[str] | None) -> ModuleSpec | None:
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    return loaded or PathFinder.find_spec(name, where)


@cache
def _library_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    return tuple(Path(folder).resolve() for folder in (*folders, site.getusersitepackages()))


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())
