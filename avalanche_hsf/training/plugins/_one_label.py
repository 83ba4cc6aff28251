"""A stream without task labels, told from one whose first task comes in several experiences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from avalanche_hsf.generators import generators_kept
from avalanche_hsf.training.plugins._held_out import samples_of
from avalanche_hsf.training.tasks import tasks_of, whole_of

N_SAMPLES = 8
"""Of an experience are looked at, to know it again."""


class OneLabel:
    """Finds, or refuses, a second experience of the only task label so far, whatever label it is.

    Both could be of one task. But in a stream without labels all have the same, and what keeps
    tasks apart by their labels would train a finished task again, in silence.

    Args:
        who: The plugin.
        repeats: Whether it was said that experiences share a label.
    """

    def __init__(self, who: str, repeats: bool = False) -> None:
        self.who = who
        self.repeats = repeats
        self._first: dict[int, Any] = {}  # the experience that brought each label

    def check(self, experiences: Iterable[Any], known: Iterable[int]) -> None:
        """ValueError if one of them is a second one of the only label.

        Args:
            experiences: Those in training.
            known: The labels of all tasks so far.
        """
        if self.repeats:
            return
        label = self.repeated(experiences, known)
        if label is not None:
            raise ValueError(
                f"a second experience has the task label {label}, as all samples so far: "
                f'in a stream without task labels give {self.who} new_task="experience", or '
                "repeats=True if all of them are of the same task"
            )

    def repeated(self, experiences: Iterable[Any], known: Iterable[int] = ()) -> int | None:
        """The only label so far, if one of the experiences is a second one that has it."""
        first = {**dict.fromkeys(known), **self._first}
        for experience in experiences:
            labels = tasks_of(experience)
            if labels == set(first) and len(labels) == 1 and first[min(labels)] != _of(experience):
                return min(labels)
            first.update({label: _of(experience) for label in labels if label not in first})
        return None

    def note(self, experiences: Iterable[Any]) -> None:
        """Takes in what was trained."""
        for experience in experiences:
            for label in tasks_of(experience) - self._first.keys():
                self._first[label] = _of(experience)


def _of(experience: Any) -> tuple[int, int, float]:
    """An experience's number, length, and the sum of some samples; parts of one have the same."""
    whole = whole_of(experience) or experience
    with generators_kept():  # a transformation may draw
        x = samples_of(whole, None, N_SAMPLES)
    total = 0.0 if x is None else float(x.double().sum())
    return whole.current_experience, len(whole.dataset), total
