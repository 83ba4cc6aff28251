"""A new task starts from the old one that fits it best."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch.utils.data import default_collate

from avalanche_hsf.checks import check_int
from avalanche_hsf.models import SeededNoise
from avalanche_hsf.training.plugins._find import check_alone


class WarmStartPlugin(SupervisedPlugin):
    """Copies the weights of the finished task with the lowest loss on the new task's samples.

    For any supervised strategy whose model, or a module of it, has `tasks` and
    `copy_task(source, target)`, as every hypernetwork here has. It keeps nothing.

    Args:
        n_samples: Samples of the new task that the old ones are tried on, at least 1.
    """

    def __init__(self, n_samples: int = 300) -> None:
        super().__init__()
        self.n_samples = check_int("n_samples", n_samples, at_least=1)
        self._finished: list[int] = []

    @torch.no_grad()
    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Chooses and copies; raises TypeError, before any training, if nothing can be copied."""
        owner = next((m for m in strategy.model.modules() if hasattr(m, "copy_task")), None)
        if owner is None:
            raise TypeError(
                "WarmStartPlugin needs a model with weights for each task (tasks and copy_task, "
                f"as a hypernetwork has), {type(strategy.model).__name__} has none"
            )
        check_alone(self, strategy)
        if not self._finished:
            return
        for label in strategy.experience.task_labels:
            if int(label) not in self._finished:
                owner.copy_task(self._best_for(strategy, int(label)), int(label))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        labels = (int(label) for label in strategy.experience.task_labels)
        self._finished += [label for label in labels if label not in self._finished]

    def _best_for(self, strategy: Any, label: int) -> int:
        dataset = strategy.experience.dataset
        own = [i for i, t in enumerate(dataset.targets_task_labels) if int(t) == label]
        every = max(1, len(own) // self.n_samples)
        minibatch = default_collate([dataset[i] for i in own[::every][: self.n_samples]])
        strategy.mbatch = minibatch
        strategy._unpack_minibatch()
        model, x, y = strategy.model, strategy.mb_x, strategy.mb_y
        model.eval()
        for module in model.modules():
            if isinstance(module, SeededNoise):
                module.train()  # the choice must not depend on how much was evaluated before
        losses = {
            old: float(strategy._criterion(model(x, torch.full((len(x),), old)), y))
            for old in self._finished
        }
        model.train()
        return min(losses, key=losses.__getitem__)
