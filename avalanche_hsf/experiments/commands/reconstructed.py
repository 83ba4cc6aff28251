"""What the models of the paper's experiment make of its curves, kept with their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from avalanche_hsf.analysis import ModelRecorderPlugin
from avalanche_hsf.analysis.data import Minibatch, spread_over
from avalanche_hsf.analysis.errors import forward
from avalanche_hsf.experiments.learners import Learner, Problem
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.experiments.runs.run import run
from avalanche_hsf.report import colors, plot_reconstructions

N_POINTS = 100
"""Of each curve, evenly spaced."""
FINDING = "reconstructions"


def run_with_curves(benchmark: Problem, learner: Learner, **arguments: Any) -> Run:
    """`run`, and in `Run.findings` the curve of each task, of a run that did not diverge.

    "reconstructions" holds for each task three lists of points, of its first two coordinates to
    four digits: "true", "just_learned" and "at_the_end".
    """
    recorder = ModelRecorderPlugin()
    finished = run(benchmark, learner, plugins=[recorder], **arguments)
    stream = benchmark.make(arguments["seed"]).test_stream
    if finished.diverged or len(recorder.models) != len(stream):
        return finished
    tasks = []
    for j, experience in enumerate(stream):
        minibatch = spread_over(experience, N_POINTS)
        just_learned, at_the_end = (_output(recorder.model_after(i), minibatch) for i in (j, -1))
        curves = {"true": minibatch[1], "just_learned": just_learned, "at_the_end": at_the_end}
        tasks.append({name: _points(curve) for name, curve in curves.items()})
    return replace(finished, findings={FINDING: tasks})


def figure_of_curves(runs: Sequence[Run], names: Mapping[str, str]) -> dict[str, Figure]:
    """The curves of the first seed for which all learners kept them; none if there is no such.

    Args:
        runs: Of the learners.
        names: Of the learners in the figure, by theirs.
    """
    by_seed: dict[int, dict[str, Any]] = {}
    for finished in runs:
        kept = by_seed.setdefault(finished.seed, {})
        kept[finished.learner] = finished.findings.get(FINDING)
    for seed, kept in by_seed.items():
        if not all(kept.get(learner) for learner in names):
            continue
        made = {
            name: list(map(_before_and_after, kept[learner])) for learner, name in names.items()
        }
        true = [torch.tensor(task["true"]) for task in kept[next(iter(names))]]
        title = f"Reconstructions, just learned and after the last task (seed {seed})"
        figure = plot_reconstructions(made, true=true, colors=colors(made), title=title)
        return {"reconstructions.png": figure}
    return {}


def _before_and_after(task: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    return torch.tensor(task["just_learned"]), torch.tensor(task["at_the_end"])


@torch.no_grad()
def _output(model: nn.Module, minibatch: Minibatch) -> Tensor:
    return forward(model.eval(), minibatch)[0]


def _points(curve: Tensor) -> list[list[float]]:
    return [[float(f"{value:.4g}") for value in point] for point in curve[:, :2].tolist()]
