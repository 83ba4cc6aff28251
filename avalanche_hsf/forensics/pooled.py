"""What is found out about several runs of one configuration, together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import torch
from scipy.stats import t as student
from torch import Tensor

from avalanche_hsf.analysis import Attribution
from avalanche_hsf.analysis.attribution import share_errors, standard_error
from avalanche_hsf.analysis.components import REST
from avalanche_hsf.forensics.findings import TaskFindings
from avalanche_hsf.forensics.run import Points, RunFindings
from avalanche_hsf.forensics.verdict import WIDTH


def pooled(runs: Sequence[RunFindings]) -> RunFindings:
    """The findings of some runs as those of one: means, with standard errors over runs.

    Shares are ratios of means, so a run that forgot little counts little. Standard errors are
    widened such that an interval of 95 % for normal errors is Student's for so few runs.

    Args:
        runs: At least one, of the same tasks and components; one alone is given back.

    Raises:
        ValueError: There is none, or they are of other tasks or components.
    """
    if not runs:
        raise ValueError("no run was given")
    first, *others = runs
    if not others:
        return first
    by_task = list(zip(*(run.tasks for run in runs), strict=True))
    return RunFindings(
        tasks=[_task(tasks) for tasks in by_task],
        losses=_mean_matrix([run.losses for run in runs]),
        accuracies=_mean_matrix([run.accuracies for run in runs]),
        conflict=_mean_by_name([run.conflict for run in runs]),
        old_losses=_mean_curves([run.old_losses for run in runs]),
        drift=_mean_curves([run.drift for run in runs]),
        begins=first.begins,
        notes=list(dict.fromkeys(note for run in runs for note in run.notes)),
        n_runs=sum(run.n_runs for run in runs),
    )


def pooled_attribution(attributions: Sequence[Attribution]) -> Attribution:
    """The mean of some attributions of one task, with standard errors over them; see `pooled`."""
    first, *others = attributions
    if not others:
        return first
    names = list(dict.fromkeys(name for a in attributions for name in a.shapley))
    for a in others:
        if set(a.shapley) - {REST} != set(first.shapley) - {REST}:
            raise ValueError(
                f"the runs have different components, {', '.join(first.shapley)} and "
                f"{', '.join(a.shapley)}: name components that all have"
            )
    n = len(attributions)
    widened = float(student.ppf(0.975, n - 1)) / WIDTH
    shapley = {
        # What did not move has no share.
        name: torch.tensor([a.shapley.get(name, 0.0) for a in attributions], dtype=torch.float64)
        for name in names
    }
    forgetting = torch.tensor([a.forgetting for a in attributions], dtype=torch.float64)
    exactly = dict.fromkeys(shapley, 0.0)
    return Attribution(
        before=fmean(a.before for a in attributions),
        after=fmean(a.after for a in attributions),
        alone={name: fmean(a.alone.get(name, 0.0) for a in attributions) for name in names},
        recovered={name: fmean(a.recovered.get(name, 0.0) for a in attributions) for name in names},
        shapley={name: float(values.mean()) for name, values in shapley.items()},
        shapley_error={name: widened * standard_error(of) for name, of in shapley.items()},
        n_evaluations=sum(a.n_evaluations for a in attributions),
        interactions=_mean_rows([a.interactions for a in attributions]),
        pairs=_mean_rows([a.pairs for a in attributions]),
        n_samples=first.n_samples,
        forgetting_error=widened * standard_error(forgetting),
        share_error={
            name: widened * error
            for name, error in share_errors(shapley, exactly, forgetting).items()
        },
    )


def _task(tasks: Sequence[TaskFindings]) -> TaskFindings:
    first = tasks[0]
    lost = [t.accuracy[0] - t.accuracy[1] for t in tasks if t.accuracy is not None]
    every = dict(pair for t in tasks for pair in t.kinds.items())
    kinds = {
        name: kind if all(t.kinds.get(name, kind) == kind for t in tasks) else "layer"
        for name, kind in every.items()
    }
    widened = float(student.ppf(0.975, len(tasks) - 1)) / WIDTH
    return replace(
        first,
        attribution=pooled_attribution([t.attribution for t in tasks]),
        kinds=kinds,
        accuracy=_mean_pair(tasks, lambda t: t.accuracy),
        accuracy_error=widened * standard_error(torch.tensor(lost, dtype=torch.float64))
        if len(lost) > 1
        else math.nan,
        probe=_mean_pair(tasks, lambda t: t.probe),
        chance=fmean(t.chance for t in tasks),
        feature_change=fmean(t.feature_change for t in tasks),
        changes=_mean_by_name([t.changes for t in tasks]),
        line=_mean_points([t.line for t in tasks]),
        sharpness=_mean_pair(tasks, lambda t: t.sharpness),
        unknown=list(dict.fromkeys(line for t in tasks for line in t.unknown)),
        over="seeds",
        layers=_layers(tasks),
    )


def _layers(tasks: Sequence[TaskFindings]) -> Attribution | None:
    """None unless all have it."""
    layers = [of for task in tasks if (of := task.layers) is not None]
    return pooled_attribution(layers) if len(layers) == len(tasks) else None


def _mean_pair(
    tasks: Sequence[TaskFindings], pair: Callable[[TaskFindings], tuple[float, float] | None]
) -> tuple[float, float] | None:
    """None unless all have it."""
    pairs = [of for task in tasks if (of := pair(task)) is not None]
    if len(pairs) < len(tasks):
        return None
    return fmean(before for before, _ in pairs), fmean(after for _, after in pairs)


def _mean_by_name(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of what all have."""
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: fmean(run[name] for run in runs) for name in names}


def _mean_rows(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: _mean_by_name([run[name] for run in runs]) for name in names}


def _mean_matrix(matrices: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """Empty unless all have it."""
    if not all(matrices):
        return []
    means: Tensor = torch.tensor(matrices, dtype=torch.float64).mean(dim=0)
    return means.tolist()


def _mean_curves(runs: Sequence[Mapping[str, Points]]) -> dict[str, Points]:
    names = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: _mean_points([run[name] for run in runs]) for name in names}


def _mean_points(curves: Iterable[Points]) -> Points:
    """At the places that all have."""
    values: dict[float, list[float]] = {}
    n = 0
    for curve in curves:
        n += 1
        for x, y in curve:
            values.setdefault(x, []).append(y)
    return [(x, fmean(ys)) for x, ys in values.items() if len(ys) == n]
