"""Replay of finished tasks: a balanced memory, its schedule and its draws."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.training.storage_policy import ExperienceBalancedBuffer
from torch import Tensor

from avalanche_hsf._private.avalanche import criterion_of
from avalanche_hsf.checks import check_int, check_non_negative, check_size
from avalanche_hsf.seeds import resolve_seed
from avalanche_hsf.training.loading.in_memory import Memory
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.terms import add_term


class _Replay(Protection):
    """The base of both replays; arguments as in `LatentReplayPlugin`."""

    transient = ("_memory",)  # no part of checkpoints: made of the buffer

    def __init__(
        self,
        weight: float = 2.0,
        *,
        mem_size: int = 500,
        samples_per_experience: int = 50,
        batch_size: int = 32,
        every: int = 5,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.weight = check_non_negative(f"weight of {type(self).__name__}", weight)
        self.mem_size = check_size("mem_size", mem_size)
        self.samples_per_experience = check_int(
            "samples_per_experience", samples_per_experience, at_least=1
        )
        self.batch_size = check_size(f"batch_size of {type(self).__name__}", batch_size)
        self.every = check_int("every", every, at_least=1)
        self.generator = torch.Generator().manual_seed(resolve_seed(seed))
        self.storage_policy = ExperienceBalancedBuffer(mem_size)
        self._n_experiences = 0
        self._memory: Memory | None = None

    def _stored(self, strategy: Any, samples: AvalancheDataset) -> AvalancheDataset:
        """What is stored of some samples of the experience, with their task labels."""
        raise NotImplementedError

    def _replayed(self, strategy: Any, minibatch: Any) -> tuple[Any, Any]:
        """Output and target for a minibatch of what is stored."""
        raise NotImplementedError

    @property
    def memory(self) -> Memory | None:
        """All that is stored, for minibatches by row; None before the first experience ended."""
        if self._memory is None and self.storage_policy.buffer_datasets:
            self._memory = Memory(self.storage_policy.buffer_datasets)
        return self._memory

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        due = strategy.clock.train_exp_epochs % self.every == 0
        if not due or self.memory is None or self.weight == 0:
            return
        rows = self._draw(len(self.memory), self.batch_size)
        output, target = self._replayed(strategy, self.memory[rows])
        if isinstance(target, Tensor) and target.is_floating_point():
            target = target.view_as(output)
        add_term(strategy, "replay", self.weight * criterion_of(strategy)(output, target))

    @torch.no_grad()
    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Stores samples of the experience that was just trained."""
        dataset = strategy.experience.dataset
        rows = self._draw(len(dataset), self.samples_per_experience)
        samples = self._stored(strategy, dataset.subset(rows.tolist()))
        self._n_experiences += 1
        n_samples = self._n_experiences * self.samples_per_experience
        self.storage_policy.max_size = min(self.mem_size, n_samples)
        with torch.random.fork_rng(devices=[]):  # Avalanche's reservoir draws from the global one
            torch.manual_seed(int(torch.randint(2**31, (), generator=self.generator)))
            self.storage_policy.post_adapt(strategy, SimpleNamespace(dataset=samples))
        self._memory = None

    def _draw(self, n: int, size: int) -> Tensor:
        return torch.randperm(n, generator=self.generator)[:size]
