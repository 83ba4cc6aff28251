"""The options of a command in a TOML file: read as words, written beside results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from avalanche_hsf.addresses import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_EXCLUDE_EACH_OTHER = {"jobs", "scheduler"}
_NOT_WRITTEN = {
    "carry_out",
    "run",
    "typed",
    "words",
    "command",
    "parser",
    "config",
    "fresh",
    "scheduler",
    "jobs",
}


def words_of(
    path: str, command: str, parser: argparse.ArgumentParser, given: Sequence[str]
) -> list[str]:
    """The words that a file stands for, without options that the command line sets.

    Args:
        path: Of a TOML file with the command's long options as keys, at its top or in a table
            named after the command.
        command: Name of the command.
        parser: The command's.
        given: The words of the command line.

    Raises:
        ValueError: The file cannot be read, or has a key that is no option (the message names the
            nearest), or a value of the wrong kind.
    """
    actions = {
        action.dest: action for action in parser._actions if action.dest not in ("help", "config")
    }
    skipped = {name for name in actions if _is_given(name, given)}
    if skipped & _EXCLUDE_EACH_OTHER:
        skipped |= _EXCLUDE_EACH_OTHER
    words: list[str] = []
    for key, value in _content(path, command).items():
        name = key.replace("-", "_")
        if name not in actions:
            keys = [action.replace("_", "-") for action in actions]
            raise ValueError(f"{path}: unknown key {key!r}{nearest(key, keys)}")
        if name not in skipped:
            words += _words(path, key, value, actions[name])
    return words


def resolved(command: str, options: argparse.Namespace) -> str:
    """The file from which a command can be repeated."""
    values = {
        name.replace("_", "-"): _plain(value)
        for name, value in vars(options).items()
        if name not in _NOT_WRITTEN and value is not None
    }
    head = f"# avalanche-hsf {command} --config FILE repeats this\n"
    return head + tomli_w.dumps({command: values})


def _content(path: str, command: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise ValueError(f"--config {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"--config {path} is no TOML: {error}") from error
    tables = [key for key, value in content.items() if isinstance(value, dict)]
    if not tables:
        return content
    if command not in tables:
        raise ValueError(f"{path} has no table [{command}], only {', '.join(tables)}")
    return content[command]


def _is_given(name: str, words: Sequence[str]) -> bool:
    flag = f"--{name.replace('_', '-')}"
    return any(word == flag or word.startswith(f"{flag}=") for word in words)


def _words(path: str, key: str, value: Any, action: argparse.Action) -> list[str]:
    flag = f"--{key.replace('_', '-')}"
    if isinstance(value, dict):
        raise ValueError(f"{path}: {key} must be a value, got a table")
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ValueError(f"{path}: {key} must be true or false, got {value!r}")
        return [flag] if value else []
    if isinstance(value, bool):
        raise ValueError(f"{path}: {key} must be a value, got {str(value).lower()}")
    values = value if isinstance(value, list) else [value]
    if isinstance(action, argparse._AppendAction):
        return [f"{flag}={entry}" for entry in values]
    return [f"{flag}={','.join(map(str, values))}"]


def _plain(value: Any) -> Any:
    """An option's value for TOML; NAME=A,B for what --vary and --set give."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, tuple):
        name, numbers = value
        numbers = numbers if isinstance(numbers, list) else [numbers]
        return f"{name}={','.join(map(repr, numbers))}" if numbers else name
    return value
