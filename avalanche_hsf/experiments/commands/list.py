"""The names that the other commands take, a line each."""

from __future__ import annotations

import inspect

from avalanche_hsf import evaluation
from avalanche_hsf.experiments.commands.comparison import GROUPS
from avalanche_hsf.experiments.learners import LEARNERS
from avalanche_hsf.experiments.report import Table
from avalanche_hsf.experiments.runs.problems import BENCHMARKS
from avalanche_hsf.training import PRESETS


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


def tables(what: str | None = None) -> list[Table]:
    """All names, or those of one kind.

    Raises:
        ValueError: There is no such kind.
    """
    every = names()
    if what is not None and what not in every:
        raise ValueError(f"unknown kind {what!r}; choose from {', '.join(every)}")
    return [
        Table(kind, ["name", "about"], [[name, line] for name, line in lines.items()])
        for kind, lines in every.items()
        if what in (None, kind)
    ]


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]
