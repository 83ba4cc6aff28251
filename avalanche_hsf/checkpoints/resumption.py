"""The first experience after a resume, which may be half trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.strategy import Position, Watcher, put_state
from avalanche_hsf.checkpoints.stream import experiences_until, fingerprint


class Resumption(Watcher):
    """Goes first among the plugins until the state is in place, then leaves.

    An experience is prepared by all plugins and by Avalanche: loaders, new parameters, what to
    hold. So a half trained one is prepared again, without a word to the loggers; then what that
    has changed is put back, and the epochs that are left are trained.

    Args:
        content: As `state_of` gives it.
        tensors: As `state_of` gives them.
        put_late: What waits for the stream, see `put_state`.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        tensors: Sequence[Tensor],
        put_late: Callable[[Sequence[Any]], None] | None,
    ) -> None:
        super().__init__()
        self.content, self.tensors, self.put_late = content, tensors, put_late
        self.position = Position(*content["position"])

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        if self.position.epoch is not None:
            strategy.evaluator.active = False

    def before_train_dataset_adaptation(self, strategy: Any, **kwargs: Any) -> None:
        """Raises CheckpointError if this is not the experience to go on with."""
        self.experiences = experiences_until(strategy.experience)
        self._check(strategy.experience)
        if self.position.epoch is None:
            if self.put_late is not None:
                self.put_late(self.experiences)
            strategy.plugins = [plugin for plugin in strategy.plugins if plugin is not self]
        else:
            put_state(strategy, self.content, self.tensors, self.experiences)
            strategy.evaluator.active = False
            strategy.plugins = [*strategy.plugins, _Shortened(self.position.epoch)]

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._finish(strategy)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._finish(strategy)

    def _finish(self, strategy: Any) -> None:
        put_state(strategy, self.content, self.tensors, self.experiences)
        strategy.plugins = [
            plugin
            for plugin in strategy.plugins
            if plugin is not self and not isinstance(plugin, _Shortened)
        ]

    def _check(self, experience: Any) -> None:
        there, done = self.content["stream"], self.position.experience
        here = [fingerprint(e) for e in self.experiences]
        if self.position.epoch is not None and there[-1:] != here[-1:]:
            raise CheckpointError(
                f"the checkpoint is within experience {done} of its stream, and this is another "
                f"one: train what resume returned, train_stream[{done}:]"
            )
        n = min(len(there), len(here))
        if there[:n] != here[:n]:
            raise CheckpointError("the checkpoint was made on another stream: its samples differ")


class _Shortened(Watcher):
    """Goes last: all others have seen the full number of epochs when Avalanche asks for it."""

    def __init__(self, n_done: int) -> None:
        super().__init__()
        self.n_done = n_done

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        strategy.train_epochs -= self.n_done
