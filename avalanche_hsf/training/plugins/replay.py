"""Replay of finished tasks: the paper's, of stored latents, and one of raw inputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Protocol, runtime_checkable

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.core import SupervisedPlugin
from avalanche.models import avalanche_forward
from avalanche.training.storage_policy import ExperienceBalancedBuffer
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from avalanche_hsf.checks import check_int, check_non_negative
from avalanche_hsf.seeds import resolve_seed
from avalanche_hsf.training.plugins._find import add_term, check_alone


class _Replay(SupervisedPlugin):
    """What both replays share: a balanced memory, its schedule and its draws."""

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
        """What is stored of some samples besides their targets, a row for each."""
        raise NotImplementedError

    def _output(self, strategy: Any, stored: Tensor, task_labels: Tensor) -> Tensor:
        """The model's output from what was stored; task labels come on the host."""
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
        replay = strategy._criterion(output, target)
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


@runtime_checkable
class LatentAutoencoder(Protocol):
    """What latent replay asks of a model, see `HypernetSDEFlow`."""

    def encode(self, x: Tensor, task_labels: Tensor) -> Tensor: ...
    def evolve(self, z0: Tensor, task_labels: Tensor) -> Tensor: ...
    def decode(self, z_T: Tensor, task_labels: Tensor) -> Tensor: ...


class LatentReplayPlugin(_Replay):
    """Adds gamma * replay to the loss: samples of finished tasks decoded from stored latents.

    replay = mean over m drawn samples of criterion(decode(z_T, t), y), with y = x in the paper

    After each experience some of its samples are stored as (y, z_T, t), with z_T as the model
    encoded them then, in Avalanche's own `ExperienceBalancedBuffer`. Every few epochs some are
    drawn and decoded. Only the decoder rehearses: encoder, flow and first SDE never see an old
    sample again. That is the paper's replay, faults included.

    For any supervised strategy whose model is a `LatentAutoencoder`.

    Source: section 2.5 of the paper; sizes and schedule from the author's public code, whose
    memory drops its oldest samples when full where this one keeps experiences balanced (the two
    agree up to ten experiences at the default sizes).

    Args:
        weight: gamma, at least 0; the paper's final experiments use 2.
        mem_size: Samples stored in total, at least 1.
        samples_per_experience: Samples stored per experience, at least 1, fewer once they would
            exceed `mem_size`.
        batch_size: Samples drawn at a time, at least 1.
        every: Rehearse in every epoch whose number within the experience is a multiple of this.
        seed: Seed of the draws, at least 0; if None it is drawn from torch's global generator.

    Attributes:
        storage_policy: The buffer.
    """

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises TypeError, before any training, if the model has no latents to replay."""
        check_alone(self, strategy)
        if not isinstance(strategy.model, LatentAutoencoder):
            raise TypeError(
                "LatentReplayPlugin needs a model with encode, evolve and decode, as "
                f"HypernetSDEFlow has; {type(strategy.model).__name__} lacks them. To replay raw "
                "inputs use RawReplayPlugin or avalanche.training.plugins.ReplayPlugin"
            )

    def _stored(self, strategy: Any, x: Tensor, task_labels: Tensor) -> Tensor:
        model, on_device = strategy.model, task_labels.to(strategy.device)
        z0 = model.encode(x.to(strategy.device), on_device)
        return model.evolve(z0, on_device).cpu()

    def _output(self, strategy: Any, stored: Tensor, task_labels: Tensor) -> Tensor:
        return strategy.model.decode(stored, task_labels)


class RawReplayPlugin(_Replay):
    """Adds weight * replay to the loss: stored inputs of finished tasks, end to end.

    replay = mean over m drawn samples of criterion(model(x, t), y)

    As `LatentReplayPlugin`, arguments included, but the whole model rehearses. What it keeps is
    the raw samples, so it is no choice where data must not be stored. For any supervised strategy.

    Source: experience replay, Rolnick et al. 2019, https://arxiv.org/abs/1811.11682
    """

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        check_alone(self, strategy)

    def _stored(self, strategy: Any, x: Tensor, task_labels: Tensor) -> Tensor:
        return x

    def _output(self, strategy: Any, stored: Tensor, task_labels: Tensor) -> Tensor:
        return avalanche_forward(strategy.model, stored, task_labels.to(strategy.device))
