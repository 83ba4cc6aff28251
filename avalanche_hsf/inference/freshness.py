"""Whether tasks still have the weights that they were calibrated with."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from avalanche_hsf._private.torch import version_of
from avalanche_hsf.inference.calibration import TaskCalibration
from avalanche_hsf.inference.fingerprint import differ, fingerprint
from avalanche_hsf.models.tasks.slots import EmptySlot


class Freshness:
    """Compares a calibration with the weights there are, again only where one was written to."""

    transient = ("_seen", "_trusts")  # no part of checkpoints

    def __init__(self) -> None:
        self._seen = Seen()
        self._trusts = self._warned = False

    @contextmanager
    def trusting(self) -> Iterator[None]:
        """Within it nothing is compared: a task is in training and calibrated afterwards."""
        before, self._trusts = self._trusts, True
        try:
            yield
        finally:
            self._trusts = before

    def check(self, calibration: TaskCalibration, models: Sequence[nn.Module]) -> None:
        """Warns, once, if what tasks share has changed since one of them was calibrated.

        Raises:
            ValueError: A task's own weights have.
        """
        if self._trusts or self._seen.has_all(models):
            return
        drifted = False
        for task in calibration.labels:
            own, shared = differ(calibration.weights_of(task), fingerprint(models, task))
            if own:
                raise ValueError(
                    f"the weights of task {task} have changed since it was calibrated, by training "
                    f"or rounding (see CommitPlugin): calibrate task {task} again"
                )
            drifted |= shared
        if drifted and not self._warned:
            self._warned = True
            warnings.warn(
                "weights that all tasks share have changed since the first were calibrated, so "
                "probabilities, novelty and unknown go by scores of earlier weights: calibrate old "
                'tasks again, or take a hypernetwork that holds them, such as "isolated"',
                stacklevel=5,
            )
        self._seen.note(models)


class Seen:
    """The tensors of some models as they were last looked at; a copy has looked at none.

    Example:
        >>> layer, seen = nn.Linear(2, 1), Seen()
        >>> seen.note([layer])
        >>> seen.has_all([layer])
        True
        >>> _ = nn.init.zeros_(layer.weight)
        >>> seen.has_all([layer])
        False
    """

    def __init__(self) -> None:
        self._tensors: list[tuple[weakref.ref[Tensor], Any]] = []

    def note(self, models: Iterable[nn.Module]) -> None:
        """Looks at them."""
        self._tensors = [(weakref.ref(tensor), _state(tensor)) for tensor in _tensors(models)]

    def has_all(self, models: Iterable[nn.Module]) -> bool:
        """Whether they still have the same tensors, and nothing was written to one since."""
        tensors = list(_tensors(models))
        return len(tensors) == len(self._tensors) and all(
            reference() is tensor and before == _state(tensor)
            for tensor, (reference, before) in zip(tensors, self._tensors, strict=True)
        )

    def __reduce__(self) -> Any:
        return type(self), ()


def _tensors(models: Iterable[nn.Module]) -> Iterator[Tensor]:
    for model in models:
        yield from model.parameters()
        yield from (buffer for buffer in model.buffers() if not isinstance(buffer, EmptySlot))


def _state(tensor: Tensor) -> tuple[int, int]:
    return version_of(tensor), tensor.data_ptr()
