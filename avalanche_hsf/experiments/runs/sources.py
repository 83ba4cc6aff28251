"""Whose code a module is, and the text of a user's, with all that it imports from the user."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).resolve().parents[2]
"""The folder of this package."""


def file_of(module: ModuleType | None) -> Path | None:
    """Where the text of a module lies; None for a prompt, a notebook or a builtin."""
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file is not None and Path(file).is_file() else None


def is_ours(module: ModuleType | None) -> bool:
    """Whether it belongs to this package."""
    file = file_of(module)
    return file is not None and file.is_relative_to(PACKAGE)


def is_installed(module: ModuleType | None) -> bool:
    """Whether it belongs to Python or to an installed package, whose version says what it is."""
    name = "__main__" if module is None else module.__name__
    return name in sys.builtin_module_names or _is_in_library(file_of(module))


def installed_version(module: ModuleType) -> str:
    """Of the distribution that an installed module comes with; "" for Python's own."""
    found = _distributions().get(module.__name__.partition(".")[0], [])
    return ", ".join(f"{name} {version(name)}" for name in sorted(set(found)))


def text_of(module: ModuleType) -> str:
    """A digest of the text of a user's module and of every one that it imports from the user.

    Imports are found in the text, those within functions too, and nothing is imported for it.
    Files are told by content alone: the same module may lie elsewhere on another machine.
    """
    file = file_of(module)
    todo = [(file, module.__package__ or "")] if file is not None else []
    texts: dict[Path, bytes] = {}
    while todo:
        file, package = todo.pop()
        if file not in texts:
            texts[file] = file.read_bytes()
            todo += _imported(file, package)
    return hashlib.sha256(b"\0".join(sorted(texts.values()))).hexdigest()


def _imported(file: Path, package: str) -> Iterator[tuple[Path, str]]:
    """The user's files that a file imports, each with the package it is in."""
    if file.suffix != ".py":
        return
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            stem = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(stem, package) if node.level else stem
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield from _users_files(name, file.parent)


def _users_files(name: str, beside: Path) -> Iterator[tuple[Path, str]]:
    """The file of a dotted name and of the packages above it, as far as they are a user's."""
    where: list[str] | None = [*sys.path, str(beside)]
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:end]), where)
        if spec is None:
            return
        if spec.has_location and spec.origin is not None:
            file = Path(spec.origin).resolve()
            if _is_in_library(file) or file.is_relative_to(PACKAGE):
                return
            yield file, spec.parent or ""
        where = list(spec.submodule_search_locations or [])


def _spec(name: str, where: list[str] | None) -> ModuleSpec | None:
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    return loaded or PathFinder.find_spec(name, where)


def _is_in_library(file: Path | None) -> bool:
    return file is not None and any(file.is_relative_to(folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()}
    return tuple(Path(folder).resolve() for folder in (*folders, site.getusersitepackages()))


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())
