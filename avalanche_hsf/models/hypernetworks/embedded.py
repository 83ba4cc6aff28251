"""Hypernetworks whose tasks are points in a learned space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.hypernetworks.embedding import TaskEmbedding


class EmbeddedWeights(TaskWeights):
    """Writes weights from a learned task embedding, with a network that all tasks share.

    What a task owns is its embedding alone; training a new one moves the weights of the old ones
    unless something holds them. A task that was never trained is evaluated with the zero
    embedding, see `TaskEmbedding`. Arguments as in `HyperNetwork`.
    """

    def __init__(
        self, initial: Mapping[str, Tensor], embedding_dim: int, std: float, seed: int | None
    ) -> None:
        super().__init__()
        self.shapes = {name: tuple(value.shape) for name, value in initial.items()}
        self.task_embedding = TaskEmbedding(embedding_dim, std=std, seed=seed)

    @property
    def tasks(self) -> list[int]:
        return self.task_embedding.tasks

    def add_task(self, label: int) -> None:
        self.task_embedding.add_task(label)

    @torch.no_grad()
    def copy_task(self, source: int, target: int) -> None:
        self.check_known(source, target)
        embeddings = self.task_embedding.embeddings
        embeddings[target].copy_(embeddings[source])

    def forward(self, tasks: list[int], prefix: str = "") -> dict[str, Tensor]:
        return self.write(self.task_embedding(tasks), prefix)

    @abstractmethod
    def write(self, e: Tensor, prefix: str = "") -> dict[str, Tensor]:
        """The weights for k embeddings, a `k x embedding_dim` tensor; else as `forward`."""

    def _by_name(self, networks: nn.ModuleList, x: Tensor, prefix: str) -> dict[str, Tensor]:
        """What one network for each name makes of x, a `k x *` tensor."""
        return {
            name: network(x).view(-1, *shape)
            for (name, shape), network in zip(self.shapes.items(), networks, strict=True)
            if name.startswith(prefix)
        }
