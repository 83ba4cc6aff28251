"""Whether an experience is one of a known task that comes back."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from avalanche_hsf.inference import TaskRecognizer

NEW = -1.0
"""Samples that score so many deviations too low in the mean, or more, are of a new task."""
NEW_OF_SAME_CLASSES = -4.0
"""The same where the classes agree and the deviations are those of training samples.

A model fits these best: new digits of a known task were at -1.6 after 10 epochs and at -3.6 after
40, permuted ones of the same classes at -7 to -9, rotated ones at -3 (10 degrees) to -7 (30).
"""


def task_of(
    recognizer: TaskRecognizer, x: Tensor, classes: set[int], *, held_out: bool
) -> tuple[int, str]:
    """The known task that samples are of, or the next free label, and what to warn of.

    A task comes back with its own classes, no more and no less: others would be trained into it,
    and those that are missing would be lost. Where there are no classes, or those of the task are
    not known, its samples' scores alone decide, and where they are the same, the scores are given
    more room.

    Args:
        recognizer: Knows a task at least.
        x: Samples of the experience.
        classes: Of the experience; empty where its targets are no classes.
        held_out: Whether tasks were calibrated with samples that they were not trained on.
    """
    tasks = recognizer.tasks
    new = max(tasks) + 1
    known: Any = recognizer.calibration.classes_of
    label = int(recognizer.infer_tasks(x, group_size=len(x))[0])
    deviation = float(recognizer.deviations(x, len(x))[0, tasks.index(label)])
    theirs = known.get(label, set())
    agree = bool(classes) and classes == theirs
    found = f"its samples score {deviation:.2f} standard deviations from those of task {label}"
    if classes and theirs and not agree:
        others = [task for task in tasks if known.get(task) == classes]
        if not others:
            return new, ""
        return new, (
            f"taken for the new task {new}: its classes {sorted(classes)} are those of task "
            f"{others[0]}, but {found}, which has the classes {sorted(theirs)}"
        )
    limit = NEW_OF_SAME_CLASSES if agree and not held_out else NEW
    close = abs(deviation - limit) < abs(limit) / 2
    doubt = ". This is a close call: give the stream task labels, or calibrate_on" if close else ""
    same = f", which has the same classes {sorted(classes)}" if agree else ""
    if deviation > limit:
        return label, (
            f"taken for task {label}, whose weights are trained again: {found}{same}; a new task's "
            f"would be below {limit:g}{doubt}"
        )
    message = f"taken for the new task {new}: {found}{same}, below {limit:g}{doubt}"
    return new, message if close else ""
