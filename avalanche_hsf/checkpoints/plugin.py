"""Checkpoints while a strategy trains."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from avalanche_hsf.checkpoints.errors import NotNowError
from avalanche_hsf.checkpoints.folder import keep
from avalanche_hsf.checkpoints.strategy import Position, Watcher
from avalanche_hsf.checkpoints.stream import experiences_until
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

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Goes first, to see what the others have left and not what they are about to do."""
        others = [plugin for plugin in strategy.plugins if plugin is not self]
        n = sum(isinstance(plugin, Watcher) for plugin in others)
        strategy.plugins = [*others[:n], self, *others[n:]]

    def before_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        self.experiences = experiences_until(strategy.experience)

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        if strategy.clock.train_exp_epochs % self.every == 0:
            self._save(strategy)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._save(strategy)

    def _save(self, strategy: Any) -> None:
        if time.monotonic() - self._saved_at < self.seconds:
            return
        clock = strategy.clock
        position = Position(clock.train_exp_counter, clock.train_exp_epochs)
        try:
            keep(strategy, self.folder, position, self.experiences)
        except NotNowError:
            return
        self._saved_at = time.monotonic()
