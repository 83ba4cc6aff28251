"""A task's weights are final when its experience ends."""

from __future__ import annotations

from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training.utils import _at_task_boundary  # Avalanche 0.6 has no public way to ask

from avalanche_hsf.training.plugins._find import check_alone, hypernetwork_of


class CommitPlugin(SupervisedPlugin):
    """Ends the training of a hypernetwork's current tasks after each experience.

    Without it a kind with something to end, such as `DeltaHyperNetwork` that rounds a task's code
    to its bits, does so when the next experience begins: what is evaluated in between is not yet
    what is kept. `HSFStrategy` always has it.

    For any supervised strategy whose model has a hypernetwork.
    """

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises TypeError, before any training, if there is no hypernetwork."""
        hypernetwork_of(strategy.model, type(self).__name__)
        check_alone(self, strategy)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        # The parts of an online experience with known boundaries are trained without adapting
        # the model in between.
        if _at_task_boundary(strategy.experience, before=False):
            hypernetwork_of(strategy.model, type(self).__name__).commit()
