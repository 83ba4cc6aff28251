"""Checkpoints while a strategy trains."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avalanche_hsf.checkpoints.checkpoint import Checkpoint
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.folder import add, checkpoints_in
from avalanche_hsf.checkpoints.identity import identity_of
from avalanche_hsf.checkpoints.resumption import Resumption
from avalanche_hsf.checkpoints.strategy import State, iterators_of, state_of
from avalanche_hsf.checkpoints.stream import experiences_known, fingerprint
from avalanche_hsf.checkpoints.watcher import Watcher
from avalanche_hsf.checks import check_bool, check_int, check_non_negative, check_path
from avalanche_hsf.divergence import all_finite


class CheckpointPlugin(Watcher):
    """Saves the strategy into a folder while it trains, so that `resume` can go on from there.

    For any strategy of Avalanche with epochs. It saves when an experience begins, every n epochs
    within, and when its last epoch is over; the newest two checkpoints are kept. What cannot be
    kept is refused before the first epoch, and so is a folder with the checkpoints of a run that
    was not resumed. Weights that are NaN or infinite are never saved. Nothing else changes, not a
    bit of the training.

    Args:
        folder: Made if it does not exist.
        every: Epochs between two checkpoints, at least 1.
        seconds: Least time between two checkpoints, and before the first, at least 0.
        strict: Refuse before training what is said above, and a folder that cannot be written;
            False: warn, and train without. Once it trains it never stops for that.

    Raises:
        CheckpointError: In `train`, see strict.
        OSError: In `train`, see strict.

    Example:
        >>> from avalanche_hsf.training import HSFStrategy
        >>> strategy = HSFStrategy.from_preset(
        ...     input_dim=3, plugins=[CheckpointPlugin("checkpoints", every=50)]
        ... )
    """

    def __init__(
        self, folder: str | Path, *, every: int = 1, seconds: float = 0.0, strict: bool = True
    ) -> None:
        super().__init__()
        self.folder = check_path("folder", folder)
        self.every = check_int("every", every, at_least=1)
        self.seconds = check_non_negative("seconds", seconds)
        self.strict = check_bool("strict", strict)
        self._saved_at: float | None = None
        self._began_at = self._took = 0.0  # the present experience, and the one before
        self._begin: Checkpoint | None = None
        self._older: list[Any] = []  # iterators that no preparation of an experience makes
        self._anew: list[Any] = []  # those that the last one has made

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Goes first, to see what the others have left and not what they are about to do."""
        others = [plugin for plugin in strategy.plugins if plugin is not self]
        n = sum(isinstance(plugin, Watcher) for plugin in others)
        strategy.plugins = [*others[:n], self, *others[n:]]
        if self._saved_at is None:
            self._check_folder(strategy)
            self._saved_at = time.monotonic()
            self._took = float("inf")
        self._note_begin(strategy, called=True)

    def before_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        number = strategy.experience.current_experience
        if self._begin is None:
            self._note_begin(strategy, called=False)
        if self._begin is not None:
            self._older = iterators_of(strategy)
            of_samples = fingerprint(strategy.experience.dataset)
            self._begin = replace(
                self._begin, number=number, print=of_samples, stream=self.known.prints
            )
            self._save(strategy, self._begin)

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        epoch = strategy.clock.train_exp_epochs
        if epoch > 0 and epoch % self.every == 0:
            self._save_within(strategy, epoch)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._save_within(strategy, strategy.clock.train_exp_epochs)
        self._took = time.monotonic() - self._began_at
        if self._begin is not None:
            self._begin = None
            self._anew = _without(self._older, iterators_of(strategy))

    def _check_folder(self, strategy: Any) -> None:
        is_resumed = any(isinstance(plugin, Resumption) for plugin in strategy.plugins)
        if checkpoints_in(self.folder) and not is_resumed:
            error = CheckpointError(
                f"{self.folder} holds checkpoints of an earlier run, which would be replaced: call "
                "resume(strategy, folder) before train, or give another folder"
            )
            self._warn(strategy, error)

    def _note_begin(self, strategy: Any, *, called: bool) -> None:
        self._began_at = time.monotonic()
        # In a short experience, to judge by the last one, no checkpoint will be due.
        if self._since_saved() + 2 * self._took < self.seconds:
            return
        self.known.add(experiences_known(strategy))
        self._older = _without(self._anew, iterators_of(strategy))
        state = self._state(strategy)
        if state is not None:
            n_done = strategy.clock.train_exp_counter
            identity = identity_of(strategy)
            self._begin = Checkpoint(n_done, 0, None, "", called, {}, identity, begin=state)

    def _save_within(self, strategy: Any, epoch: int) -> None:
        if self._begin is not None and self._is_time():
            now = self._state(strategy, within=epoch < strategy.train_epochs)
            if now is not None:
                self._save(strategy, replace(self._begin, epoch=epoch, now=now))

    def _state(self, strategy: Any, *, within: bool = False) -> State | None:
        """The state; None if it cannot be kept now, which is no reason to stop training."""
        try:
            if not all_finite(p.detach() for p in strategy.model.parameters()):
                raise CheckpointError(
                    "weights are NaN or infinite, and the last good ones are kept"
                )
            return state_of(strategy, self.known, within=within, older=self._older)
        except CheckpointError as error:
            self._warn(strategy, error)
            return None

    def _save(self, strategy: Any, checkpoint: Checkpoint) -> None:
        if self._is_time():
            try:
                add(checkpoint, self.folder)
            except OSError as error:
                self._warn(strategy, error)
            self._saved_at = time.monotonic()

    def _warn(self, strategy: Any, error: CheckpointError | OSError) -> None:
        if self.strict and strategy.clock.train_iterations == 0:
            raise error
        warnings.warn(f"no checkpoint now: {error}", stacklevel=2)

    def _is_time(self) -> bool:
        return self._since_saved() >= self.seconds

    def _since_saved(self) -> float:
        return time.monotonic() - (self._saved_at or 0.0)


def _without(some: Sequence[Any], all_of_them: Sequence[Any]) -> list[Any]:
    left_out = {id(value) for value in some}
    return [value for value in all_of_them if id(value) not in left_out]
