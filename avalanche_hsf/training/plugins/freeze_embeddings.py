"""Embeddings of finished tasks stay where they are."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from avalanche_hsf.models import TaskEmbedding
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.plugins.embedding_table import EmbeddingTablePlugin
from avalanche_hsf.training.tasks import current_tasks


class FreezeEmbeddingsPlugin(Protection):
    """Embeddings of tasks that are not in training get no gradient.

    Then neither a gradient (such as the separation loss's), nor momentum, nor weight decay moves
    them. An embedding is free again when its task comes back.

    For any supervised strategy whose model has a `TaskEmbedding`. Stores nothing between tasks.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695
    """

    needs = TaskEmbedding
    excludes = MappingProxyType(
        {EmbeddingTablePlugin: "the table moves finished embeddings too; set embedding_table=False"}
    )

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises, before any training, without embeddings or with the author's table of them."""
        super().before_training_exp(strategy, **kwargs)
        current = current_tasks(strategy)
        for key, e in self.embedding(strategy).embeddings.items():
            e.requires_grad_(int(key) in current)
            if int(key) not in current:
                e.grad = None
