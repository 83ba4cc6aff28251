"""Embeddings of finished tasks stay where they are."""

from __future__ import annotations

from typing import Any

from avalanche.core import SupervisedPlugin

from avalanche_hsf.training.plugins._find import (
    check_alone,
    check_without,
    current_tasks,
    embedding_of,
)
from avalanche_hsf.training.plugins.embedding_table import EmbeddingTablePlugin


class FreezeEmbeddingsPlugin(SupervisedPlugin):
    """Embeddings of tasks that are not in training get no gradient.

    Then neither a gradient (of the separation loss, which pulls on both sides of a pair), nor
    momentum, nor weight decay moves them. An embedding is free again when its task comes back.

    For any supervised strategy whose model has a `TaskEmbedding`. It keeps nothing.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695, where the embeddings of
    finished tasks are fixed.
    """

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises, before any training, without embeddings or with the author's table of them."""
        embedding = embedding_of(strategy.model, type(self).__name__)
        check_alone(self, strategy)
        check_without(
            self,
            EmbeddingTablePlugin,
            strategy,
            "the table moves finished embeddings too; set embedding_table=False",
        )
        current = current_tasks(strategy)
        for key, e in embedding.embeddings.items():
            e.requires_grad_(int(key) in current)
            if int(key) not in current:
                e.grad = None
