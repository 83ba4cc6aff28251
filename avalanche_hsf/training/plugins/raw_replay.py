"""Replay of stored inputs."""

from __future__ import annotations

from typing import Any

from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.models import avalanche_forward

from avalanche_hsf._private.avalanche import unpacked
from avalanche_hsf.training.plugins._replay import _Replay


class RawReplayPlugin(_Replay):
    """Adds weight * replay to the loss: stored inputs of finished tasks, end to end.

    replay = mean over m drawn samples of criterion(model(x, t), y)

    As `LatentReplayPlugin`, arguments included, but the whole model rehearses, on raw samples that
    are stored. For any supervised strategy.

    Samples are read each time with the training transformations of their experience.

    Source: experience replay, Rolnick et al. 2019, https://arxiv.org/abs/1811.11682
    """

    def _stored(self, strategy: Any, samples: AvalancheDataset) -> AvalancheDataset:
        return samples.train()

    def _replayed(self, strategy: Any, minibatch: Any) -> tuple[Any, Any]:
        x, y, task_labels = unpacked(strategy, minibatch)
        output = avalanche_forward(strategy.model, x, task_labels)
        return output, x if getattr(strategy, "reconstructs", False) else y
