"""The first experience after a resume, which may be half trained."""

from __future__ import annotations

from typing import Any

from avalanche_hsf.checkpoints.checkpoint import Checkpoint
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.strategy import put_state
from avalanche_hsf.checkpoints.stream import OTHER_STREAM, experiences_known, fingerprint
from avalanche_hsf.checkpoints.watcher import Watcher


class Resumption(Watcher):
    """Goes first among the plugins until the state is in place, then leaves.

    Avalanche and all plugins prepare an experience: loaders, new parameters, what to hold. So a
    half trained one is prepared again, metrics included, from the state in which it began, without
    a word to the loggers. Then the state that it had reached is put in, and the epochs that are
    left are trained.

    Args:
        checkpoint: Whose first state was put in already.
        waits: Whether some of it waits for the stream.
    """

    def __init__(self, checkpoint: Checkpoint, *, waits: bool) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.waits = waits
        self._loggers: Any = None

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Raises CheckpointError if the stream is another one."""
        self.known.add(experiences_known(strategy))
        self.known.check(self.checkpoint.stream)
        if self.checkpoint.number is not None or self.waits:
            self._begin(strategy)

    def before_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Raises CheckpointError if this is not the experience to go on with."""
        number, n_done = self.checkpoint.number, self.checkpoint.experience
        experience = strategy.experience
        if number is not None and number != experience.current_experience:
            raise CheckpointError(
                f"the checkpoint is within experience {number} of its stream, and this is "
                f"{experience.current_experience}: train what resume returned, "
                f"train_stream[{n_done}:]"
            )
        if number is not None and self.checkpoint.print != fingerprint(experience.dataset):
            raise CheckpointError(OTHER_STREAM)
        if not self.checkpoint.called:
            self._begin(strategy)
        if self.checkpoint.now is None:
            strategy.plugins = [plugin for plugin in strategy.plugins if plugin is not self]
        else:
            strategy.plugins = [*strategy.plugins, _Shortened(self.checkpoint.epoch)]

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._go_on(strategy)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._go_on(strategy)

    def _begin(self, strategy: Any) -> None:
        put_state(strategy, self.checkpoint.begin, self.known)
        if self.checkpoint.now is not None and self._loggers is None:
            self._loggers, strategy.evaluator.loggers = strategy.evaluator.loggers, []

    def _go_on(self, strategy: Any) -> None:
        assert self.checkpoint.now is not None
        strategy.evaluator.loggers = self._loggers
        put_state(strategy, self.checkpoint.now, self.known)
        strategy.plugins = [
            plugin
            for plugin in strategy.plugins
            if plugin is not self and not isinstance(plugin, _Shortened)
        ]


class _Shortened(Watcher):
    """Goes last: all others have seen the full number of epochs when Avalanche asks for it."""

    def __init__(self, n_done: int) -> None:
        super().__init__()
        self.n_done = n_done

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        strategy.train_epochs -= self.n_done
