"""The names that the other commands take, a line each."""

from __future__ import annotations

import inspect
from textwrap import fill

from tabulate import tabulate

from avalanche_hsf import evaluation
from avalanche_hsf.experiments.commands.comparison import GROUPS
from avalanche_hsf.experiments.learners import LEARNERS
from avalanche_hsf.experiments.runs.named import BENCHMARKS
from avalanche_hsf.training import PRESETS

WIDTH = 100
"""Columns of a terminal."""


def names() -> dict[str, dict[str, str]]:
    """A line about each benchmark, learner, group of learners, preset and metric, by its name."""
    public = {name: getattr(evaluation, name) for name in evaluation.__all__}
    metrics = {name: thing for name, thing in public.items() if hasattr(thing, "__name__")}
    return {
        "benchmarks": {name: problem.about for name, problem in BENCHMARKS.items()},
        "learners": {name: learner.about for name, learner in LEARNERS.items()},
        "groups": {group: ", ".join(members) for group, members in GROUPS.items()},
        "presets": {name: preset.source for name, preset in PRESETS.items()},
        "metrics": {name: _first_line(metric) for name, metric in metrics.items()},
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


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]
