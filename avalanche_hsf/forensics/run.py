"""What is found out about a whole run: every task, and what happened on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn
from tqdm import tqdm

from avalanche_hsf.analysis import error_on, find_components, gradient_conflict, loss_on
from avalanche_hsf.analysis.components import Components
from avalanche_hsf.analysis.data import Data, minibatches_of
from avalanche_hsf.analysis.errors import Criterion
from avalanche_hsf.forensics.findings import TaskFindings, accuracy_on, examine
from avalanche_hsf.forensics.padding import without_padding
from avalanche_hsf.forensics.parts import choose_components

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class RunFindings:
    """What is found out about a run.

    Attributes:
        tasks: For each task but the last.
        losses: R[i][j], the loss on task j after task i; NaN where the model could not yet do j.
        accuracies: The same in percent; empty if the targets are no classes.
        conflict: By component the cosine of the gradients of a new task and an old one, where the
            new one begins, mean over pairs of tasks; of those where the model can do the new one.
        old_losses: By name of a task its loss on a few samples while later ones were learned, as
            pairs of iteration and value.
        drift: By component how far it is from where the task in training began, relative to its
            size, as pairs of iteration and value.
        begins: The iteration at which each task began.
        notes: What a reader has to know of how it was measured.
        n_runs: How many runs these are the means of, see `pooled`.
    """

    tasks: Sequence[TaskFindings]
    losses: Sequence[Sequence[float]] = ()
    accuracies: Sequence[Sequence[float]] = ()
    conflict: Mapping[str, float] = field(default_factory=dict)
    old_losses: Mapping[str, Points] = field(default_factory=dict)
    drift: Mapping[str, Points] = field(default_factory=dict)
    begins: Sequence[int] = ()
    notes: Sequence[str] = ()
    n_runs: int = 1


def examine_run(
    models: Sequence[nn.Module],
    data: Sequence[Data],
    *,
    criterion: Criterion | None = None,
    components: Components | None = None,
    **watched: Any,
) -> RunFindings:
    """Finds out what there is to say of a run.

    Args:
        models: The model after each task, at least one.
        data: Samples of each task, as many.
        criterion, components: See `examine`.
        **watched: Further fields of `RunFindings`.

    Raises:
        TypeError, ValueError: An unknown component, or not as many data as models. A task that
            cannot be examined is left out, and `notes` say why.
    """
    if len(models) != len(data) or not models:
        raise ValueError(f"samples of each task are needed, got {len(data)} for {len(models)}")
    data = [minibatches_of(samples) for samples in data]  # read once
    unpadded = without_padding(models[-1], criterion)
    measures = [error_on(samples, unpadded) for samples in data]
    losses = _matrix(models, measures)
    accuracies = _matrix(models, [partial(accuracy_on, data=samples) for samples in data])
    seen = [accuracy for i, row in enumerate(accuracies) for accuracy in row[: i + 1]]
    late = models[-1]
    chosen = find_components(late, components) if components else choose_components(late)
    tasks, notes = [], list(watched.pop("notes", ()))
    if unpadded is not criterion:
        notes.append(
            "The loss is that of the classes of a task's head: the zeros that Avalanche adds for "
            "classes of other tasks are left out."
        )
    pairs = list(zip(models[:-1], data[:-1], strict=True))
    # Shown on a terminal alone.
    bar = tqdm(pairs, desc="why it forgot", unit="task", leave=False, disable=None)
    for i, (early, samples) in enumerate(bar):
        name = f"task {i}"
        try:
            found = examine(
                early, late, samples, task=name, criterion=criterion, components=components
            )
        except ValueError as error:
            notes.append(f"Task {i} could not be examined: {error}{_since_when(losses, i)}.")
        else:
            tasks.append(found)
    return RunFindings(
        tasks=tasks,
        losses=losses,
        accuracies=[] if any(map(math.isnan, seen)) else accuracies,
        conflict=_conflict(models, data, unpadded, chosen),
        notes=notes,
        **watched,
    )


def _since_when(losses: Sequence[Sequence[float]], task: int) -> str:
    """After which task its loss was first NaN, if it was."""
    first = next((i for i, row in enumerate(losses) if math.isnan(row[task]) and i >= task), None)
    return "" if first is None else f"; its loss is NaN from after task {first} on"


def _matrix(
    models: Sequence[nn.Module], measures: Sequence[Callable[[nn.Module], float]]
) -> list[list[float]]:
    """Every measure of every model; NaN where it fails for a task that is still to come."""
    rows = []
    for i, model in enumerate(models):
        row = [measure(model) for measure in measures[: i + 1]]
        for measure in measures[i + 1 :]:
            try:
                row.append(measure(model))
            except Exception:  # such as a head that is not there yet
                row.append(math.nan)
        rows.append(row)
    return rows


def _conflict(
    models: Sequence[nn.Module],
    data: Sequence[Data],
    criterion: Criterion | None,
    components: Components,
) -> dict[str, float]:
    losses = [loss_on(samples, criterion, n_samples=128) for samples in data]
    found: dict[str, list[float]] = {}
    for new in range(1, len(models)):
        model = models[new - 1].requires_grad_(True)  # protections may have frozen some
        for old in range(new):
            try:
                cosines = gradient_conflict(model, losses[new], losses[old], components=components)
            except Exception:  # such as a head that is not there yet
                continue
            for component, cosine in cosines.items():
                if math.isfinite(cosine):
                    found.setdefault(component, []).append(cosine)
    return {component: sum(cosines) / len(cosines) for component, cosines in found.items()}
