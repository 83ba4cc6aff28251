"""The paper's replay, of stored latents."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from torch.utils.data import TensorDataset

from avalanche_hsf.training.loading.in_memory import collected
from avalanche_hsf.training.plugins._replay import _Replay


class LatentReplayPlugin(_Replay):
    """Adds gamma * replay to the loss: samples of finished tasks decoded from stored latents.

    replay = mean over m drawn samples of criterion(decode(z_T, t), y), with y = x in the paper

    After each experience some of its samples are stored as (y, z_T, t), with z_T as encoded then,
    in Avalanche's `ExperienceBalancedBuffer`. Every few epochs some are drawn and decoded. Only
    the decoder rehearses: encoder, flow and first SDE never see an old sample again. That is the
    paper's replay, faults included.

    For any supervised strategy whose model has encode, evolve and decode, see `HypernetSDEFlow`.

    Source: section 2.5 of the paper; sizes and schedule from the author's public code, whose full
    memory drops its oldest samples, where this one keeps experiences balanced (the same up to ten
    experiences at the default sizes).

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
        super().before_training_exp(strategy, **kwargs)
        if not all(hasattr(strategy.model, name) for name in ("encode", "evolve", "decode")):
            raise TypeError(
                "LatentReplayPlugin needs a model with encode, evolve and decode, as "
                f"HypernetSDEFlow has; {type(strategy.model).__name__} lacks them. To replay raw "
                "inputs use RawReplayPlugin or avalanche.training.plugins.ReplayPlugin"
            )

    def _stored(self, strategy: Any, samples: AvalancheDataset) -> AvalancheDataset:
        samples = samples.eval()
        x, y, *_, labels = collected(samples, range(len(samples)))
        task_labels = torch.as_tensor(labels).to(strategy.device)
        z0 = strategy.model.encode(x.to(strategy.device), task_labels)
        z_T = strategy.model.evolve(z0, task_labels).cpu()
        # HSFStrategy takes the input for the target, whatever the benchmark has.
        target = x if getattr(strategy, "reconstructs", False) else y
        tensors = TensorDataset(target, z_T)
        return AvalancheDataset([tensors], data_attributes=[TaskLabels(labels.tolist())])

    def _replayed(self, strategy: Any, minibatch: Any) -> tuple[Any, Any]:
        target, z_T, task_labels = minibatch
        output = strategy.model.decode(z_T.to(strategy.device), task_labels)
        return output, target.to(strategy.device)
