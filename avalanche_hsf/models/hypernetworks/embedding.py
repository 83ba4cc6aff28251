"""The vectors e_t that stand for tasks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int, check_memory, check_non_negative, check_size
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.tasks.per_task import PerTask, check_has


class TaskEmbedding(nn.Module):
    """One learnable vector e_t for each task, grown as tasks arrive.

    e_t ~ N(0, std^2 I), drawn when task t is first trained from a generator of the module's own,
    so that what happens between tasks, such as an evaluation, does not change it. Each is a
    parameter of its own, so an optimizer that learns of a new one keeps its state for the old
    ones, and a finished one can be frozen alone.

    A task that was never trained has no embedding: in evaluation mode the zero vector, the mean
    of the prior, stands for it, so that a stream with tasks still to come can be evaluated.

    Source: section 2.2 of the paper; von Oswald et al. 2020, https://arxiv.org/abs/1906.00695

    Args:
        embedding_dim: Size of e_t, at least 1.
        std: Standard deviation of a new embedding, at least 0.
        seed: Seed of the draws; if None it is drawn from torch's global generator.

    Example:
        >>> embedding = TaskEmbedding(16)
        >>> embedding.add_task(3)
        >>> embedding([3]).shape
        torch.Size([1, 16])
        >>> embedding.eval()([8]).abs().sum()
        tensor(0.)
    """

    untrained: Tensor

    def __init__(self, embedding_dim: int, *, std: float = 0.02, seed: int | None = None) -> None:
        super().__init__()
        self.embedding_dim = check_size("embedding_dim", embedding_dim)
        check_memory("an embedding", embedding_dim)
        self.std = check_non_negative("std", std)
        self.noise = SeededNoise(seed, stream=1)
        self.register_buffer("untrained", torch.zeros(embedding_dim))
        self.embeddings = PerTask(self._blank)
        # Keeps the optimizer's group of embeddings still to come, see `Drafts`.
        self.embeddings.anchor = nn.Parameter(torch.zeros(0))

    @property
    def tasks(self) -> list[int]:
        """The labels of all tasks that have an embedding, in order of arrival."""
        return list(self.embeddings)

    def add_task(self, label: int) -> None:
        """Draws an embedding for a task; does nothing if the task has one."""
        label = check_int("a task label", label, at_least=0)
        if label not in self.embeddings:
            e = torch.empty_like(self.untrained)
            e.normal_(std=self.std, generator=self.noise.generator(e.device))
            self.embeddings[label] = nn.Parameter(e)

    def forward(self, tasks: list[int]) -> Tensor:
        """The embeddings of k tasks, a `k x embedding_dim` tensor.

        Raises:
            ValueError: In training mode, a task has no embedding.
        """
        if self.training:
            for label in tasks:
                check_has(label, self.embeddings, "embedding")
        return torch.stack([self.embeddings.get(label, self.untrained) for label in tasks])

    def _blank(self, label: int, names: set[str]) -> nn.Parameter:
        return nn.Parameter(torch.zeros_like(self.untrained))
