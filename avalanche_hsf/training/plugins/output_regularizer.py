"""The output regulariser of hypernetworks."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from avalanche_hsf.checks import check_bool, check_int, check_non_negative
from avalanche_hsf.models import TaskEmbedding, TaskWeights
from avalanche_hsf.seeds import resolve_seed
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.tasks import current_tasks
from avalanche_hsf.training.terms import add_term


class OutputRegularizerPlugin(Protection):
    r"""Adds weight * mean_k ||h(e_k; Theta + dTheta) - h*(e_k)||^2 to the loss, over old tasks k.

    h*(e_k) are the weights that the hypernetwork wrote for task k when the present experience
    began, so old tasks need no data. Stores nothing between tasks beyond the embeddings; during
    training, a copy of the old outputs.

    dTheta is zero, or, with `lookahead`, the step of the hypernetwork's weights that the optimizer
    would take on the loss without this term, at the cost of a second backward pass and step.

    For any supervised strategy whose model has a hypernetwork that can move old outputs.

    Source: von Oswald et al. 2020, equation (2), https://arxiv.org/abs/1906.00695

    Args:
        weight: At least 0. The squared distance is summed over all weights of a task.
        lookahead: Whether dTheta is that step. Its place is then after all plugins that add to
            the loss.
        n_tasks: Old tasks drawn anew at each iteration, at least 1; None: all of them.
        seed: Seed of these draws; if None it is drawn from torch's global generator.
    """

    needs = TaskWeights

    def __init__(
        self,
        weight: float = 1.0,
        *,
        lookahead: bool = False,
        n_tasks: int | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.lookahead = check_bool("lookahead", lookahead)
        self.weight = check_non_negative("weight of OutputRegularizerPlugin", weight)
        self.n_tasks = None if n_tasks is None else check_int("n_tasks", n_tasks, at_least=1)
        self.generator = torch.Generator().manual_seed(resolve_seed(seed))
        self._old: list[int] = []
        self._outputs: dict[str, Tensor] = {}

    @torch.no_grad()
    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Records the outputs to hold; raises if the hypernetwork holds them by construction."""
        super().before_training_exp(strategy, **kwargs)
        hypernetwork = self.hypernetwork(strategy)
        if hypernetwork.holds_old_tasks:
            raise ValueError(
                f"OutputRegularizerPlugin and {type(hypernetwork).__name__} contradict each "
                "other: its old outputs do not change by construction"
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
        hypernetwork = self.hypernetwork(strategy)
        ahead = _ahead(strategy, hypernetwork) if self.lookahead else {}
        labels = [self._old[k] for k in chosen.tolist()]
        now = functional_call(hypernetwork, ahead, (labels,)) if ahead else hypernetwork(labels)
        distances = [
            (now[name] - old[chosen.to(old.device)]).square().sum()
            for name, old in self._outputs.items()
        ]
        term = self.weight * torch.stack(distances).sum() / len(chosen)
        add_term(strategy, "output regularizer", term)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._old, self._outputs = [], {}


def _ahead(strategy: Any, hypernetwork: nn.Module) -> dict[str, Tensor]:
    """Where the optimizer's step on the loss so far would take the hypernetwork, by name.

    The gradient passes through where it is now, not through the step. Embeddings stay: those of
    old tasks do not take the step.
    """
    modules = [m for m in hypernetwork.modules() if isinstance(m, TaskEmbedding)]
    embeddings = {id(p) for module in modules for p in module.parameters()}
    named = {
        name: p
        for name, p in hypernetwork.named_parameters()
        if p.requires_grad and id(p) not in embeddings
    }
    parameters = list(named.values())
    gradients = torch.autograd.grad(strategy.loss, parameters, retain_graph=True, allow_unused=True)
    steps = _steps(strategy.optimizer, parameters, gradients)
    return {name: p + step for (name, p), step in zip(named.items(), steps, strict=True)}


def _steps(
    optimizer: Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> list[Tensor]:
    """What an optimizer would add to some parameters; it and they stay as they are."""
    groups = [dict(group) for group in optimizer.param_groups]
    twins = {}
    for p, gradient in zip(parameters, gradients, strict=True):
        twins[p] = p.detach().clone()
        twins[p].grad = gradient
        if p in optimizer.state:
            optimizer.state[twins[p]] = {
                name: value.clone() if isinstance(value, Tensor) else deepcopy(value)
                for name, value in optimizer.state[p].items()
            }
    for group in optimizer.param_groups:
        group["params"] = [twins[p] for p in group["params"] if p in twins]
    optimizer.step()
    for group, before in zip(optimizer.param_groups, groups, strict=True):
        group.clear()  # some optimizers count their steps here
        group.update(before)
    for twin in twins.values():
        optimizer.state.pop(twin, None)
    return [twins[p] - p.detach() for p in parameters]
