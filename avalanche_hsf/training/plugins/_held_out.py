"""Samples of an experience: those it was trained on, and others of the same tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from avalanche_hsf.checks import shown
from avalanche_hsf.training.loading.in_memory import collected
from avalanche_hsf.training.plugins._companion import classes_of
from avalanche_hsf.training.tasks import whole_of


def by_number(name: str, stream: Any) -> dict[int, Any]:
    """The experiences of a stream by their number.

    Raises:
        TypeError: It is no stream.
        ValueError: A number comes twice.
    """
    try:
        experiences = list(stream)
        found = {e.current_experience: e for e in experiences if e.dataset is not None}
    except (TypeError, AttributeError):
        raise TypeError(
            f"{name} must be a stream of experiences, such as benchmark.valid_stream, got "
            f"{shown(stream)}"
        ) from None
    if len(found) < len(experiences):
        raise ValueError(f"{name} must hold each experience once: their numbers are not distinct")
    return found


def held_out_of(experience: Any, held_out: dict[int, Any]) -> Any:
    """What is held out of an experience.

    Raises:
        ValueError: There is none of its number, or it has other classes, or the experience is part
            of several.
    """
    experience = whole_of(experience)
    if experience is None:
        raise ValueError(
            "calibrate_on goes by the numbers of experiences, and a part of several has none: "
            "leave it out"
        )
    number = experience.current_experience
    if number not in held_out:
        raise ValueError(
            f"calibrate_on has no experience {number}, only {sorted(held_out)}: give the stream of "
            "held-out samples of the benchmark that is trained on"
        )
    found = held_out[number]
    ours, theirs = classes_of(experience), classes_of(found)
    if ours and not theirs <= ours:
        raise ValueError(
            f"experience {number} of calibrate_on has the classes {sorted(theirs)}, in training it "
            f"has {sorted(ours)}: give a stream of the benchmark that is trained on"
        )
    return found


def samples_of(experience: Any, label: int | None, n: int) -> Tensor | None:
    """At most n samples of an experience, or of one of its tasks, evenly spread; None: has none."""
    dataset = experience.dataset.eval()
    rows: Sequence[int] = range(len(dataset))
    if label is not None:
        labels = getattr(dataset, "targets_task_labels", ())
        rows = [i for i, task in enumerate(labels) if int(task) == label]
    m = min(n, len(rows))
    chosen = [rows[i * len(rows) // m] for i in range(m)]
    return collected(dataset, chosen)[0] if chosen else None
