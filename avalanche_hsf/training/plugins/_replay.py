"""Replay of finished tasks: a balanced memory, its schedule and its draws."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.training.storage_policy import ExperienceBalancedBuffer
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from avalanche_hsf._private import criterion_of
from avalanche_hsf.checks import check_int, check_non_negative
from avalanche_hsf.seeds import resolve_seed
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.terms import add_term


class _Replay(Protection):
    """The base of both replays; arguments as in `LatentReplayPlugin`."""

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
        self.mem_size = check_int("mem_size", mem_size, at_least=1)
        self.samples_per_experience = check_int(
            "samples_per_experience", samples_per_experience, at_least=1
        )
        self.batch_size = check_int(f"batch_size of {type(self).__name__}", batch_size, at_least=1)
        self.every = check_int("every", every, at_least=1)
        self.generator = torch.Generator().manual_seed(resolve_seed(seed))
        self.storage_policy = ExperienceBalancedBuffer(mem_size)
        self._n_experiences = 0
        # The buffer's samples as tensors: reading it sample by sample would cost more than the
        # training step.
        self._memory: tuple[Tensor, ...] | None = None

    def _stored(self, strategy: Any, x: Tensor, task_labels: Tensor) -> Tensor:
        """The tensor stored with the targets of some samples, one row per sample."""
        raise NotImplementedError

    def _output(self, strategy: Any, stored: Tensor, task_labels: Tensor) -> Tensor:
        """The model's output for stored rows; task labels are on the host."""
        raise NotImplementedError

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        due = strategy.clock.train_exp_epochs % self.every == 0
        if not due or self._memory is None or self.weight == 0:
            return
        n = len(self._memory[0])
        drawn = torch.randperm(n, generator=self.generator)[: self.batch_size]
        *columns, task_labels = (column[drawn] for column in self._memory)
        target, stored = (column.to(strategy.device) for column in columns)
        output = self._output(strategy, stored, task_labels)
        if target.is_floating_point():
            target = target.view_as(output)
        replay = criterion_of(strategy)(output, target)
        add_term(strategy, "replay", self.weight * replay)

    @torch.no_grad()
    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Stores samples of the experience that was just trained."""
        dataset = strategy.experience.dataset.eval()
        chosen = torch.randperm(len(dataset), generator=self.generator)
        chosen = chosen[: self.samples_per_experience]
        items = [dataset[i] for i in chosen.tolist()]
        x = torch.stack([item[0] for item in items])
        task_labels = torch.tensor([int(item[-1]) for item in items])
        # HSFStrategy takes the input for the target, whatever the benchmark has.
        y = (
            x
            if getattr(strategy, "reconstructs", False)
            else default_collate([i[1] for i in items])
        )
        columns = [y, self._stored(strategy, x, task_labels)]
        self._n_experiences += 1
        self.storage_policy.max_size = min(
            self.mem_size, self._n_experiences * self.samples_per_experience
        )
        samples = AvalancheDataset(
            [TensorDataset(*columns)], data_attributes=[TaskLabels(task_labels.tolist())]
        )
        with torch.random.fork_rng(devices=[]):  # Avalanche's reservoir draws from the global one
            torch.manual_seed(int(torch.randint(2**31, (), generator=self.generator)))
            self.storage_policy.post_adapt(strategy, SimpleNamespace(dataset=samples))
        stored = list(self.storage_policy.buffer)
        self._memory = (
            *(torch.stack([item[i] for item in stored]) for i in range(len(columns))),
            torch.tensor([item[-1] for item in stored]),
        )
