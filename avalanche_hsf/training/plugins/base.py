"""The base of the plugins: requirements, exclusions and one check before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from avalanche.core import SupervisedPlugin

from avalanche_hsf.models import TaskEmbedding, TaskWeights

M = TypeVar("M")

_DESCRIPTIONS: Mapping[str, str] = {
    "NeuralSDE": "an SDE (a NeuralSDE module)",
    "TaskEmbedding": "learned task embeddings (a TaskEmbedding module)",
    "TaskWeights": "a hypernetwork (a TaskWeights module)",
}


class Protection(SupervisedPlugin):
    """A plugin that is checked before any training.

    Attributes:
        needs: The kind of module that the model must contain.
        excludes: Plugins that contradict this one, each with the reason.
    """

    needs: ClassVar[type | None] = None
    excludes: ClassVar[Mapping[type, str]] = {}

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Checks model and plugins.

        Raises:
            TypeError: The model lacks the module needed.
            ValueError: A second plugin of the same class, or one that is excluded.
        """
        name, kinds = type(self).__name__, [type(plugin) for plugin in strategy.plugins]
        if self.needs is not None:
            self.find(self.needs, strategy)
        if kinds.count(type(self)) > 1:
            raise ValueError(
                f"{name} is among the plugins twice: leave one out (the protections of a preset "
                "are plugins too, protections= replaces them)"
            )
        for kind, reason in self.excludes.items():
            if any(issubclass(plugin, kind) for plugin in kinds):
                raise ValueError(f"{name} and {kind.__name__} contradict each other: {reason}")

    def find(self, kind: type[M], strategy: Any) -> M:
        """The first module of a kind inside the model; TypeError if it has none."""
        for module in strategy.model.modules():
            if isinstance(module, kind):
                return module
        raise TypeError(
            f"{type(self).__name__} needs a model with {_DESCRIPTIONS[kind.__name__]}, "
            f"{type(strategy.model).__name__} has none"
        )

    def hypernetwork(self, strategy: Any) -> TaskWeights:
        return self.find(TaskWeights, strategy)  # type: ignore[type-abstract]

    def embedding(self, strategy: Any) -> TaskEmbedding:
        return self.find(TaskEmbedding, strategy)
