"""Commits a task's weights when its experience ends."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from avalanche.training.plugins import EvaluationPlugin, EWCPlugin, RWalkPlugin
from avalanche.training.plugins.clock import Clock
from avalanche.training.templates.base_sgd import PeriodicEval

from avalanche_hsf._private.avalanche import ends_a_task, experiences_in_training
from avalanche_hsf.models import TaskWeights
from avalanche_hsf.training.plugins._one_label import OneLabel
from avalanche_hsf.training.plugins.base import Protection

_BY_NAME = (
    "it wants every parameter to be there from the first task on. Use EWCPlugin, or neither: "
    "finished tasks are held already"
)


class CommitPlugin(Protection):
    """Ends the training of a hypernetwork's current tasks after each experience.

    Without it a hypernetwork that finishes its tasks, such as `DeltaHyperNetwork` which rounds a
    task's code to its bits, does so when the next experience begins, and evaluations in between
    see weights that are not final. `HSFStrategy` always has it.

    For any supervised strategy whose model has a hypernetwork. Plugins that are not of this
    package, such as EWC's, which needs gradients of the trained weights, see the end of an
    experience before it, wherever they are listed; evaluations come after it.

    It warns where a second experience has the only task label so far: its task is trained again,
    and nothing is held. That is so in every stream without task labels.
    """

    needs = TaskWeights
    excludes: ClassVar[Mapping[type, str]] = {RWalkPlugin: _BY_NAME}

    def __init__(self) -> None:
        super().__init__()
        self._one_label = OneLabel(type(self).__name__)

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Goes behind the plugins that look at trained weights."""
        plugins = list(strategy.plugins)
        late = [
            i
            for i, plugin in enumerate(plugins)
            if not isinstance(plugin, (Protection, EvaluationPlugin, PeriodicEval, Clock))
        ]
        here = plugins.index(self)
        if late and late[-1] > here:
            plugins.insert(late[-1], plugins.pop(here))
            strategy.plugins = plugins  # a new list: the old one is being gone through

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises ValueError, before any training, beside plugins that no new task may meet."""
        super().before_training_exp(strategy, **kwargs)
        for plugin in strategy.plugins:
            if isinstance(plugin, EWCPlugin) and plugin.mode == "online":
                raise ValueError(
                    "EWCPlugin(mode='online') cannot go with weights for each task: it wants new "
                    'parameters to come last. Use mode="separate", or no EWC: finished tasks are '
                    "held already"
                )
        label = self._one_label.repeated(experiences_in_training(strategy))
        # Those that open tasks refuse or warn themselves.
        if label is not None and not any(hasattr(p, "new_task") for p in strategy.plugins):
            warnings.warn(
                f"a second experience has the task label {label}, as all samples so far: its task "
                "is trained again, and what was learned is not held. Give the experiences task "
                "labels (task_incremental_benchmark, return_task_id=True), or add a "
                "TaskInferencePlugin, which tells tasks apart",
                stacklevel=2,
            )

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._one_label.note(experiences_in_training(strategy))
        # The parts of an online experience with known boundaries are trained without adapting
        # the model in between.
        if ends_a_task(strategy.experience):
            self.hypernetwork(strategy).commit()
