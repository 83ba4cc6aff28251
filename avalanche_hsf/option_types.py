"""What options of the command line take, read from their words."""

from __future__ import annotations

import argparse


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, got {text!r}") from None


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def seconds(text: str) -> float:
    """A finite number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds, at least 0, got {text!r}")
    return number


def numbered_seeds(text: str) -> list[int]:
    """Seeds separated by commas, each once."""
    seeds = [integer(word) for word in text.split(",")]
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise argparse.ArgumentTypeError(f"a seed must be from 0 to 2^32 - 1, got {seed}")
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"a seed is given twice in {text!r}")
    return seeds


def words(text: str) -> list[str]:
    """Words separated by commas."""
    return [word.strip() for word in text.split(",")]


def variation(text: str) -> tuple[str, list[float]]:
    """NAME, or NAME=A,B,... with numbers."""
    name, given, values = text.partition("=")
    try:
        return name, [float(word) for word in values.split(",")] if given else []
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be NAME or NAME=A,B,... with numbers, got {text!r}"
        ) from None


def assignment(text: str) -> tuple[str, float]:
    """NAME=VALUE with a number."""
    name, values = variation(text)
    if len(values) != 1:
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE with a number, got {text!r}")
    return name, values[0]
