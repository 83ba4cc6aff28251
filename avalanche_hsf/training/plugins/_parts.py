"""Samples of all parts of an online experience."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avalanche_hsf.training.tasks import whole_of


class Parts:
    """Keeps samples of each task, evenly spread over the parts of one experience.

    Of all samples so far it keeps each 2^j-th, with the least j that leaves at most n, so that
    every part counts by its size. They are let go when another experience begins.

    Args:
        n: Most samples of a task.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.drop()

    def drop(self) -> None:
        """Lets all samples go."""
        self._experience: int | None = None
        self._kept: dict[int, Tensor] = {}
        self._seen: dict[int, int] = {}
        self._step: dict[int, int] = {}

    def kept(self, part: Any, label: int) -> int:
        """How many samples of a task are kept of earlier parts."""
        return len(self._kept.get(label, ())) if self._experience == _number_of(part) else 0

    def take(self, part: Any, label: int, new: Tensor) -> Tensor:
        """A task's samples of all parts so far.

        Args:
            part: The part in training.
            label: The task.
            new: All samples of it in this part.
        """
        if self._experience != _number_of(part):
            self.drop()
            self._experience = _number_of(part)
        seen, step = self._seen.get(label, 0), self._step.get(label, 1)
        x = new[-seen % step :: step]
        if label in self._kept:
            x = torch.cat((self._kept[label], x))
        while len(x) > self.n:
            x, step = x[::2], 2 * step
        self._kept[label], self._seen[label], self._step[label] = x, seen + len(new), step
        return x


def _number_of(part: Any) -> int:
    """The number of the experience that a part is of; -1 where it is of several."""
    whole = whole_of(part)
    return -1 if whole is None else int(whole.current_experience)
