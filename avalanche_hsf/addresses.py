"""Names of things in modules, `module:name`. Nothing here imports torch."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def load(address: str) -> Any:
    """What an address `module:name` stands for; modules are also found in the working folder.

    Raises:
        ValueError: There is no such module, or nothing of that name in it.
    """
    module_name, _, name = address.partition(":")
    _look_in_the_working_folder()
    try:
        module = import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module_name.split(".")[0]:
            where = f"in {os.getcwd()} or on the Python path"
            raise ValueError(f"{address}: there is no module {module_name} {where}") from error
        raise ValueError(
            f"{address}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            near = nearest(part, [n for n in vars(value) if not n.startswith("_")])
            raise ValueError(f"{address}: {module_name} has no {part or 'empty name'}{near}")
        value = getattr(value, part)
    return value


def check_address(address: str) -> None:
    """ValueError, as of `load`, if nothing can be there, whatever is in the module.

    A module that exists is not imported.
    """
    module_name, _, name = address.partition(":")
    if not all(name.split(".")) or not _is_found(module_name.split(".")[0]):
        load(address)  # which says it


def is_address(name: Any) -> bool:
    """Whether a name is that of something in a module."""
    return isinstance(name, str) and ":" in name


def nearest(name: str, known: Any) -> str:
    """The known name that looks like a misspelled one, as the end of a message."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _is_found(package: str) -> bool:
    _look_in_the_working_folder()
    try:
        return package in sys.modules or find_spec(package) is not None
    except ValueError:  # no name of a module
        return False


def _look_in_the_working_folder() -> None:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
