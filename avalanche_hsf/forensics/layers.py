"""Which layer of a task's network forgot, where a hypernetwork writes it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from avalanche_hsf.analysis import Attribution, attribute_forgetting
from avalanche_hsf.analysis.data import Minibatch
from avalanche_hsf.forensics.parts import choose_components


def attribute_to_layers(
    early: nn.Module,
    late: nn.Module,
    data: Sequence[Minibatch],
    error: Callable[[nn.Module], Tensor],
    whole: Attribution,
    *,
    seed: int = 0,
) -> Attribution | None:
    """Attributes what two states of a model forgot to the layers of the samples' task.

    In such a model the layers hold nothing: what moved is in the hypernetwork. Compared are the
    networks that the two states write for the task, see `export_task`.

    Args:
        early, late: The two states.
        data: Minibatches of one task, with its label.
        error: On them, see `errors_on`.
        whole: The attribution to the components of the model.
        seed: Of drawn orders.

    Returns:
        None if no weights of the model are written for a task.

    Raises:
        TypeError, ValueError: The label is not known, or the network cannot be exported, or it
            forgot another amount than the model.
    """
    if "avalanche" not in sys.modules:  # then no such model can have been made
        return None
    from avalanche_hsf.models import export_task
    from avalanche_hsf.models.written import TaskWritten

    if not any(isinstance(module, TaskWritten) for module in early.modules()):
        return None
    task = _task_of(data)
    before, after = (export_task(model, task) for model in (early, late))
    names = [[name for name, _ in network.named_modules()] for network in (before, after)]
    if names[0] != names[1]:
        raise ValueError("it consists of other layers later")
    layers = choose_components(before)
    found = attribute_forgetting(before, after, error, components=layers, seed=seed)
    for name, ours, theirs in (
        ("before", found.before, whole.before),
        ("after", found.after, whole.after),
    ):
        if not math.isclose(ours, theirs, rel_tol=1e-5, abs_tol=1e-12):
            raise ValueError(
                f"the error of task {task}'s network alone is {ours:.6g} {name}, that of the "
                f"model {theirs:.6g}: the model does more than run it"
            )
    return found


def _task_of(data: Sequence[Minibatch]) -> int:
    labels = {
        int(label)
        for _, _, *rest in data
        if rest and isinstance(rest[-1], Tensor)
        for label in rest[-1].unique()
    }
    if len(labels) != 1 or any(len(minibatch) < 3 for minibatch in data):
        raise ValueError(
            f"the samples are of the tasks {sorted(labels)}: give minibatches (x, y, t) of one"
            if labels
            else "which task the samples belong to is not known: give minibatches (x, y, t)"
        )
    return labels.pop()
