"""Replay of stored inputs."""

from __future__ import annotations

from typing import Any

from avalanche.models import avalanche_forward
from torch import Tensor

from avalanche_hsf.training.plugins._replay import _Replay


class RawReplayPlugin(_Replay):
    """Adds weight * replay to the loss: stored inputs of finished tasks, end to end.

    replay = mean over m drawn samples of criterion(model(x, t), y)

    As `LatentReplayPlugin`, arguments included, but the whole model rehearses, on raw samples that
    are stored. For any supervised strategy.

    Source: experience replay, Rolnick et al. 2019, https://arxiv.org/abs/1811.11682
    """

    def _stored(self, strategy: Any, x: Tensor, task_labels: Tensor) -> Tensor:
        return x

    def _output(self, strategy: Any, stored: Tensor, task_labels: Tensor) -> Tensor:
        return avalanche_forward(strategy.model, stored, task_labels.to(strategy.device))
