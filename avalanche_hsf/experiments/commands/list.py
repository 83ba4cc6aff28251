"""The names that the other commands take, a line each."""

from __future__ import annotations

from textwrap import fill

from tabulate import tabulate

from avalanche_hsf.experiments.asked import members
from avalanche_hsf.experiments.catalogue import catalogue

WIDTH = 100
"""Columns of a terminal."""


def names() -> dict[str, dict[str, str]]:
    """A line about each benchmark, learner, group of learners, preset and metric, by its name."""
    known = catalogue()
    return {
        "benchmarks": {name: problem.about for name, problem in known.benchmarks.items()},
        "learners": {name: learner.about for name, learner in known.learners.items()},
        "groups": {group: ", ".join(names) for group, names in members(known.learners).items()},
        "presets": {name: preset.source for name, preset in known.presets.items()},
        "metrics": dict(known.metrics),
    }


def text(kind: str | None = None) -> str:
    """All names, or those of one kind, for a terminal of 100 columns.

    Raises:
        ValueError: There is no such kind.
    """
    kinds = names()
    if kind is not None and kind not in kinds:
        raise ValueError(f"unknown kind {kind!r}; choose from {', '.join(kinds)}")
    shown = kinds if kind is None else {kind: kinds[kind]}
    return "\n\n".join(f"{title}\n\n{_table(lines)}" for title, lines in shown.items())


def _table(lines: dict[str, str]) -> str:
    width = WIDTH - max(map(len, lines)) - 2
    rows = [(name, fill(line, width, break_on_hyphens=False)) for name, line in lines.items()]
    return tabulate(rows, headers=["name", "about"])
