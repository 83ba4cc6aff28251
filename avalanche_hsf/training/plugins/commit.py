"""Commits a task's weights when its experience ends."""

from __future__ import annotations

from typing import Any

from avalanche_hsf._private import ends_a_task
from avalanche_hsf.models import TaskWeights
from avalanche_hsf.training.plugins.base import Protection


class CommitPlugin(Protection):
    """Ends the training of a hypernetwork's current tasks after each experience.

    Without it a hypernetwork that finishes its tasks, such as `DeltaHyperNetwork` which rounds a
    task's code to its bits, does so when the next experience begins, and evaluations in between
    see weights that are not final. `HSFStrategy` always has it.

    For any supervised strategy whose model has a hypernetwork.
    """

    needs = TaskWeights

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        # The parts of an online experience with known boundaries are trained without adapting
        # the model in between.
        if ends_a_task(strategy.experience):
            self.hypernetwork(strategy).commit()
