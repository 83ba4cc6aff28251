"""The output regulariser of hypernetworks."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from avalanche_hsf.checks import check_int, check_non_negative
from avalanche_hsf.seeds import resolve_seed
from avalanche_hsf.training.plugins._find import check_alone, current_tasks, hypernetwork_of


class OutputRegularizerPlugin(SupervisedPlugin):
    r"""Adds weight * mean_k ||h(e_k) - h*(e_k)||^2 to the loss, over k finished tasks.

    h*(e_k) are the weights that the hypernetwork wrote for task k when the present experience
    began; so an old task is held by its outputs, not by its data. What it keeps between tasks is
    nothing but the embeddings; while it trains, a copy of the old outputs in use.

    For any supervised strategy whose model has a hypernetwork that can move old outputs.

    Source: von Oswald et al. 2020, equation (2), https://arxiv.org/abs/1906.00695, without the
    look-ahead step.

    Args:
        weight: At least 0. The squared distance is summed over all weights of a task.
        n_tasks: Old tasks drawn anew at each iteration, at least 1; None: all of them, whose time
            grows with their number.
        seed: Seed of these draws; if None it is drawn from torch's global generator.
    """

    def __init__(
        self, weight: float = 1.0, *, n_tasks: int | None = None, seed: int | None = None
    ) -> None:
        super().__init__()
        self.weight = check_non_negative("weight of OutputRegularizerPlugin", weight)
        self.n_tasks = None if n_tasks is None else check_int("n_tasks", n_tasks, at_least=1)
        self.generator = torch.Generator().manual_seed(resolve_seed(seed))
        self._old: list[int] = []
        self._outputs: dict[str, Tensor] = {}

    @torch.no_grad()
    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Notes the outputs to hold; raises, before any training, if there are none to hold."""
        hypernetwork = hypernetwork_of(strategy.model, type(self).__name__)
        check_alone(self, strategy)
        if hypernetwork.holds_old_tasks:
            raise ValueError(
                f"OutputRegularizerPlugin and {type(hypernetwork).__name__} contradict each "
                "other: its old outputs stay put by construction, there is nothing to hold"
            )
        current = current_tasks(strategy)
        self._old = [task for task in hypernetwork.tasks if task not in current]
        self._outputs = hypernetwork(self._old) if self._old else {}

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if not self._old or self.weight == 0:
            return
        chosen = torch.arange(len(self._old))
        if self.n_tasks is not None and self.n_tasks < len(self._old):
            chosen = torch.randperm(len(self._old), generator=self.generator)[: self.n_tasks]
        hypernetwork = hypernetwork_of(strategy.model, type(self).__name__)
        now = hypernetwork([self._old[k] for k in chosen.tolist()])
        moved = [
            (now[name] - old[chosen.to(old.device)]).square().sum()
            for name, old in self._outputs.items()
        ]
        strategy.loss = strategy.loss + self.weight * torch.stack(moved).sum() / len(chosen)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._old, self._outputs = [], {}
