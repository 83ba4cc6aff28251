"""Checkpoints while a strategy trains."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from avalanche_hsf.checkpoints.checkpoint import Checkpoint
from avalanche_hsf.checkpoints.errors import NotNowError
from avalanche_hsf.checkpoints.folder import add
from avalanche_hsf.checkpoints.identity import identity_of
from avalanche_hsf.checkpoints.strategy import iterators_of, state_of
from avalanche_hsf.checkpoints.stream import experiences_known
from avalanche_hsf.checkpoints.watcher import Watcher
from avalanche_hsf.checks import check_int, check_non_negative


class CheckpointPlugin(Watcher):
    """Saves the strategy into a folder while it trains, so that `resume` can go on from there.

    For any strategy of Avalanche with epochs. It saves when an experience begins, every n epochs
    within, and when its last epoch is over; the newest two checkpoints are kept. What cannot be
    kept is refused before the first epoch. Nothing else changes, not a bit of the training.

    Args:
        folder: Made if it does not exist.
        every: Epochs between two checkpoints, at least 1.
        seconds: Least time between two checkpoints, at least 0.

    Example:
        >>> from avalanche_hsf.training import HSFStrategy
        >>> strategy = HSFStrategy.from_preset(
        ...     input_dim=3, plugins=[CheckpointPlugin("checkpoints", every=50)]
        ... )
    """

    def __init__(self, folder: str | Path, *, every: int = 1, seconds: float = 0.0) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.every = check_int("every", every, at_least=1)
        self.seconds = check_non_negative("seconds", seconds)
        self._saved_at = -float("inf")
        self._begin: Checkpoint | None = None
        self._iterators: list[Any] = []

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Goes first, to see what the others have left and not what they are about to do."""
        others = [plugin for plugin in strategy.plugins if plugin is not self]
        n = sum(isinstance(plugin, Watcher) for plugin in others)
        strategy.plugins = [*others[:n], self, *others[n:]]
        self._note_begin(strategy, called=True)

    def before_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        number = strategy.experience.current_experience
        if self._begin is None:
            self._note_begin(strategy, called=False)
        assert self._begin is not None
        self._begin = replace(self._begin, number=number, stream=self.known.prints)
        self._iterators = iterators_of(strategy)
        self._save(self._begin)

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        epoch = strategy.clock.train_exp_epochs
        if epoch > 0 and epoch % self.every == 0:
            self._save_within(strategy, epoch)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._save_within(strategy, strategy.clock.train_exp_epochs)
        self._begin = None

    def _note_begin(self, strategy: Any, *, called: bool) -> None:
        self.known.add(experiences_known(strategy))
        self._begin = Checkpoint(
            experience=strategy.clock.train_exp_counter,
            epoch=0,
            number=None,
            called=called,
            stream={},
            identity=identity_of(strategy),
            begin=state_of(strategy, self.known),
        )

    def _save_within(self, strategy: Any, epoch: int) -> None:
        if self._begin is None or not self._is_time():
            return
        within = epoch < strategy.train_epochs
        try:
            now = state_of(strategy, self.known, within=within, older=self._iterators)
        except NotNowError as error:
            warnings.warn(
                f"{error}, so there are checkpoints between experiences alone", stacklevel=2
            )
            return
        self._save(replace(self._begin, epoch=epoch, now=now))

    def _save(self, checkpoint: Checkpoint) -> None:
        if self._is_time():
            add(checkpoint, self.folder)
            self._saved_at = time.monotonic()

    def _is_time(self) -> bool:
        return time.monotonic() - self._saved_at >= self.seconds
