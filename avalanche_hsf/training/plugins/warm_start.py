"""Warm starts from the finished task that fits a new one best."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from avalanche_hsf._private.avalanche import criterion_of, unpacked
from avalanche_hsf.checks import check_int
from avalanche_hsf.models import SeededNoise
from avalanche_hsf.training.loading.in_memory import collected
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.tasks import current_tasks


class WarmStartPlugin(Protection):
    """Copies the weights of the finished task with the lowest loss on the new task's samples.

    For any supervised strategy whose model, or modules of it, have `copy_task(source, target)`, as
    every hypernetwork here has. Stores nothing between tasks.

    Args:
        n_samples: Samples of the new task on which old tasks are tried, at least 1.
        n_tasks: Finished tasks that are tried, each by a forward pass when a task begins, at least
            1, evenly spread over all, the last among them; None: all.
    """

    def __init__(self, n_samples: int = 300, *, n_tasks: int | None = 20) -> None:
        super().__init__()
        self.n_samples = check_int("n_samples", n_samples, at_least=1)
        self.n_tasks = None if n_tasks is None else check_int("n_tasks", n_tasks, at_least=1)
        self._finished: list[int] = []

    @torch.no_grad()
    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Chooses and copies; raises TypeError, before any training, if nothing can be copied."""
        if not any(hasattr(module, "copy_task") for module in strategy.model.modules()):
            raise TypeError(
                "WarmStartPlugin needs a model with weights for each task (copy_task, as a "
                f"hypernetwork has), {type(strategy.model).__name__} has none"
            )
        super().before_training_exp(strategy, **kwargs)
        if not self._finished:
            return
        for label in sorted(current_tasks(strategy).difference(self._finished)):
            _copy(strategy.model, self._best_for(strategy, label), label)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._finished += sorted(current_tasks(strategy).difference(self._finished))

    def _best_for(self, strategy: Any, label: int) -> int:
        dataset = strategy.experience.dataset
        rows = [i for i, t in enumerate(dataset.targets_task_labels) if int(t) == label]
        every = max(1, len(rows) // self.n_samples)
        minibatch = collected(dataset, rows[::every][: self.n_samples])
        x, y, task_labels = unpacked(strategy, minibatch)
        model = strategy.model
        model.eval()
        for module in model.modules():
            if isinstance(module, SeededNoise):
                module.train()  # the choice must not depend on how much was evaluated before
        losses = {}
        n = len(self._finished)
        k = min(self.n_tasks or n, n)
        for old in (self._finished[(i + 1) * n // k - 1] for i in range(k)):
            # Tried under the new label, since the new task may have other classes.
            _copy(model, old, label)
            losses[old] = float(criterion_of(strategy)(model(x, task_labels), y))
        model.train()
        return min(losses, key=losses.__getitem__)


def _copy(model: nn.Module, source: int, target: int) -> None:
    for module in model.modules():
        copy_task: Any = getattr(module, "copy_task", None)
        if copy_task is not None:
            copy_task(source, target)
