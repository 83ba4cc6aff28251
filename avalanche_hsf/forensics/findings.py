"""What is found out about one task that a model learned, and then learned others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from avalanche_hsf.analysis import (
    Attribution,
    attribute_forgetting,
    errors_on,
    find_components,
    linear_cka,
    linear_probe,
    loss_barrier,
    loss_on,
    loss_on_line,
    outputs_of,
    sharpness,
)
from avalanche_hsf.analysis.components import Components, is_in
from avalanche_hsf.analysis.data import Data, Minibatch, minibatches_of, spread_over
from avalanche_hsf.analysis.errors import Criterion
from avalanche_hsf.forensics.head import are_classes, find_head, inputs_of, pass_of
from avalanche_hsf.forensics.layers import attribute_to_layers
from avalanche_hsf.forensics.padding import without_padding
from avalanche_hsf.forensics.parts import (
    STATISTICS,
    choose_components,
    is_embedding,
    label_of,
    moved_tensors,
    running_statistics,
)
from avalanche_hsf.models.tasks.nested import n_rows

N_PROBED = 500
"""Samples at most that representations are compared and probed on."""


@dataclass(frozen=True)
class TaskFindings:
    """How much of a task was forgotten, where, and in what way.

    Attributes:
        task: Its name.
        attribution: Of the forgetting, in the loss, to the components.
        kinds: What a component is, by its name: "head", the layer that gives out the scores;
            "normalization statistics" or "embeddings", if nothing else in it moved; else "layer".
        accuracy: In percent, before and after; None: the targets are no classes.
        accuracy_error: Standard error of its change, over samples.
        probe: Accuracy in percent of a linear classifier on the input of the head, before and
            after; None: no classes, no head, or too few samples.
        chance: Accuracy in percent of always giving the most frequent class.
        feature_change: 1 - CKA of the input of the head; NaN if unknown.
        changes: 1 - CKA of the output of each layer that ran, by its path, in their order.
        labels: What a reader is shown in place of such a path, "0 (Linear)" for "0".
        line: The error on the straight line between the two states; empty if there is none.
        sharpness: Largest eigenvalue of the Hessian of the task's loss, before and after.
        n_samples: That it was measured on.
        is_dead: Whether the head is now given the same for every sample.
        unknown: What could not be measured, and why, a line each.
        over: What standard errors are over: "samples" of the task, or "seeds".
        layers: Of the same forgetting, to the layers of the task's network, where a hypernetwork
            writes its weights; None elsewhere.
    """

    task: str
    attribution: Attribution
    kinds: dict[str, str]
    accuracy: tuple[float, float] | None = None
    accuracy_error: float = math.nan
    probe: tuple[float, float] | None = None
    chance: float = math.nan
    feature_change: float = math.nan
    changes: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    line: list[tuple[float, float]] = field(default_factory=list)
    sharpness: tuple[float, float] | None = None
    n_samples: int = 0
    is_dead: bool = False
    unknown: list[str] = field(default_factory=list)
    over: str = "samples"
    layers: Attribution | None = None

    @property
    def barrier(self) -> float:
        """How far the error rises between the two states; NaN if unknown."""
        return loss_barrier(self.line) if self.line else math.nan


def examine(
    early: nn.Module,
    late: nn.Module,
    data: Data,
    *,
    task: str = "task 0",
    criterion: Criterion | None = None,
    components: Components | None = None,
    seed: int = 0,
) -> TaskFindings:
    """Finds out what two states of a model have to say of a task learned before the first.

    Args:
        early: The model right after the task was learned.
        late: The same model later.
        data: Samples of the task that it was not trained on, see `avalanche_hsf.analysis.data`.
        task: Its name.
        criterion: Of output and target. Default: the cross entropy, for class targets alone.
        components: See `find_components`. Default: see `choose_components`.
        seed: Of drawn orders and folds.

    Raises:
        TypeError, ValueError: As `attribute_forgetting`. What else cannot be measured is left out,
            see `TaskFindings.unknown`.
    """
    data = minibatches_of(data)  # read once
    parts = find_components(early, components) if components else choose_components(early)
    criterion = without_padding(early, criterion)
    error = errors_on(data, criterion)
    attribution = attribute_forgetting(early, late, error, components=parts, seed=seed)
    minibatch = spread_over(data, N_PROBED)
    unknown: list[str] = []

    def tried(what: str, measure: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return measure()
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as reason:
            unknown.append(f"{what}: {' '.join(str(reason).split())}")
            return otherwise

    hits = [tried("accuracy", partial(_hits, model, data), None) for model in (early, late)]
    head = tried("head", lambda: find_head(early, minibatch), [])
    features = [
        tried("features", partial(inputs_of, model, head[0], minibatch), None) if head else None
        for model in (early, late)
    ]
    loss = loss_on(data, criterion, n_samples=128)
    changes = tried("layers", lambda: _changes(early, late, minibatch), {})
    return TaskFindings(
        task=task,
        attribution=attribution,
        kinds=dict.fromkeys(attribution.shapley, "layer") | _kinds(early, late, parts, head),
        chance=tried("chance", lambda: _chance(minibatch[1]), math.nan),
        probe=tried("probe", lambda: _probed(features, minibatch[1], seed), None),
        feature_change=tried("features", lambda: _change(*features), math.nan),
        changes=changes,
        labels={name: label_of(early, name) for name in changes},
        n_samples=sum(n_rows(y) for _, y, *_ in data),
        is_dead=features[1] is not None and bool((features[1] == features[1][:1]).all()),
        line=tried("barrier", lambda: _line(early, late, error), []),
        sharpness=tried("sharpness", lambda: (_sharp(early, loss), _sharp(late, loss)), None),
        layers=tried(
            "layers of the task's network",
            lambda: attribute_to_layers(early, late, data, error, attribution, seed=seed),
            None,
        ),
        unknown=unknown,
        **_accuracy(hits),
    )


def _line(
    early: nn.Module, late: nn.Module, error: Callable[[nn.Module], Tensor]
) -> list[tuple[float, float]]:
    states = early.state_dict(), late.state_dict()
    if states[0].keys() != states[1].keys():
        raise ValueError("there is none between the two states, since the model has grown")
    return loss_on_line(early, late, lambda model: float(error(model).mean()))


def _kinds(
    early: nn.Module, late: nn.Module, parts: Mapping[str, Sequence[str]], head: Sequence[str]
) -> dict[str, str]:
    statistics, parameters = running_statistics(early), dict(early.named_parameters())
    kinds = {}
    for component, names in parts.items():
        moved = moved_tensors(early, late, names)
        trained = [name for name in moved if name in parameters]
        kinds[component] = "layer"
        if moved and set(moved) <= statistics:
            kinds[component] = STATISTICS
        elif moved and all(is_embedding(early, name) for name in moved):
            kinds[component] = "embeddings"
        elif trained and head and all(is_in(name, head) for name in trained):
            kinds[component] = "head"
    return kinds


def _hits(model: nn.Module, data: Data) -> Tensor | None:
    """Whether each sample is classified right; None if these are no classes."""

    def wrong(output: Any, y: Any) -> Tensor:
        return (output.argmax(dim=1) != y).double()

    minibatch = spread_over(data, 1)
    output, y = pass_of(model, minibatch)
    if not are_classes(output, y):
        return None
    return 1 - errors_on(data, wrong)(model)


def accuracy_on(model: nn.Module, data: Data) -> float:
    """In percent; NaN if the targets are no classes."""
    hits = _hits(model, data)
    return math.nan if hits is None else float(100 * hits.mean())


def _accuracy(hits: Sequence[Tensor | None]) -> dict[str, Any]:
    before, after = hits
    if before is None or after is None:
        return {}
    lost = before - after
    error = float(lost.std() / len(lost) ** 0.5) if len(lost) > 1 else math.nan
    means = float(100 * before.mean()), float(100 * after.mean())
    return {"accuracy": means, "accuracy_error": 100 * error}


def _probed(features: Sequence[Tensor | None], y: Any, seed: int) -> tuple[float, float] | None:
    before, after = features
    if before is None or after is None:
        return None
    return (
        100 * linear_probe(before, y, seed=seed),
        100 * linear_probe(after, y, seed=seed),
    )


def _chance(y: Any) -> float:
    is_classes = isinstance(y, Tensor) and not y.is_floating_point() and y.dim() == 1
    return 100 * float(y.unique(return_counts=True)[1].max()) / len(y) if is_classes else math.nan


def _change(before: Tensor | None, after: Tensor | None) -> float:
    if before is None or after is None:
        return math.nan
    return 1 - linear_cka(before, after)


def _changes(early: nn.Module, late: nn.Module, minibatch: Minibatch) -> dict[str, float]:
    before, after = (outputs_of(m, lambda m: pass_of(m, minibatch)) for m in (early, late))
    n = len(minibatch[1])
    return {
        name: 1 - linear_cka(before[name], after[name])
        for name in before
        if name in after and len(before[name]) == n
    }


def _sharp(model: nn.Module, loss: Any) -> float:
    trained = {p: p.requires_grad for p in model.parameters()}
    model.requires_grad_(True)  # protections may have frozen some
    try:
        return sharpness(model, loss, tolerance=1e-2)
    finally:
        for p, was in trained.items():
            p.requires_grad_(was)
