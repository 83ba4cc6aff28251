"""The task separation loss as an Avalanche plugin."""

from __future__ import annotations

from typing import Any

from avalanche_hsf.checks import check_non_negative
from avalanche_hsf.models import TaskEmbedding
from avalanche_hsf.training.losses import separation
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.tasks import current_tasks
from avalanche_hsf.training.terms import add_term


class SeparationPlugin(Protection):
    """Adds delta * sep to the loss: embeddings of different tasks are pushed apart.

    For any supervised strategy whose model has a `TaskEmbedding`. As in the paper the gradient
    moves those of finished tasks too, unless `FreezeEmbeddingsPlugin` holds them.

    Source: section 2.5 of the paper, see `separation`.

    Args:
        weight: delta, at least 0; the paper's final experiments use 1.5.
    """

    needs = TaskEmbedding

    def __init__(self, weight: float = 1.5) -> None:
        super().__init__()
        self.weight = check_non_negative("weight of SeparationPlugin", weight)

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        embedding = self.embedding(strategy)
        current = sorted(current_tasks(strategy))
        others = [label for label in embedding.tasks if label not in current]
        if others and self.weight > 0:
            sep = separation(embedding(current), embedding(others))
            add_term(strategy, "sep", self.weight * sep)
