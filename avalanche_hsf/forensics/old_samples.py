"""A few samples of old tasks, on which a model is watched while it learns others."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avalanche_hsf.analysis.components import as_it_was
from avalanche_hsf.analysis.data import Minibatch, joined
from avalanche_hsf.analysis.errors import Criterion, forward, mean_loss
from avalanche_hsf.generators import generators_kept
from avalanche_hsf.models.tasks.nested import n_rows, rows_of


class OldSamples:
    """Samples of any number of tasks, which a model sees in one pass."""

    def __init__(self) -> None:
        self.minibatches: list[Minibatch] = []
        self.together: Minibatch = ()

    def add(self, minibatch: Minibatch) -> None:
        """Takes those of a task."""
        self.minibatches.append(minibatch)
        self.together = joined(self.minibatches)

    @torch.no_grad()
    def losses(self, model: nn.Module, criterion: Criterion | None) -> list[float]:
        """The loss on each task. Model, its noise and all generators are left as they were."""
        if not self.minibatches:
            return []
        with as_it_was(model), generators_kept(seed=0):
            output, y = forward(model, self.together)
        losses, start = [], 0
        for minibatch in self.minibatches:
            rows = torch.arange(start, start + n_rows(minibatch[1]))
            start += len(rows)
            of_task: list[Any] = [rows_of(part, rows) for part in (output, y)]
            losses.append(float(mean_loss(criterion, *of_task)))
        return losses
