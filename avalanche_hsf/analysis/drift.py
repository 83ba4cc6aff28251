"""Drift of a model while it learns something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from avalanche.evaluation.metric_results import MetricValue
from torch import Tensor, nn

from avalanche_hsf.analysis.components import Components, check_components, parameters_of
from avalanche_hsf.analysis.watch import WatchMetric
from avalanche_hsf.models import TaskWeights
from avalanche_hsf.training.tasks import current_tasks


class Drift(WatchMetric):
    r"""Relative drift of each component's parameters, and of the weights written for old tasks.

    ||theta_c - theta_c*|| / ||theta_c*||, where theta_c* are the parameters of component c when
    the experience began, emitted as `Drift_Epoch/<phase>/<stream>/<task>/<component>`; for a model
    with a hypernetwork h also ||h(e_k) - h*(e_k)|| / ||h*(e_k)|| for each old task k, as
    `WrittenDrift_Epoch/.../Task<k>`. `result()` is by name of a component or "Task<k>".

    To be passed to Avalanche's `EvaluationPlugin`; every logger that takes numbers shows it. While
    an experience is trained it keeps a copy of the parameters and of the weights of old tasks.

    Args:
        components: See `find_components`.
        every: Epochs between two measurements, at least 1; the last epoch counts in any case.
    """

    def __init__(self, components: Components | None = None, *, every: int = 1) -> None:
        super().__init__(every=every)
        check_components(components)
        self.components = components

    def reset(self) -> None:
        """Forgets the last measurement and its starting point."""
        super().reset()
        self._start: dict[str, list[tuple[nn.Parameter, Tensor]]] = {}
        self._written: dict[int, dict[str, Tensor]] = {}

    @torch.no_grad()
    def before_training_exp(self, strategy: Any) -> None:
        self.reset()
        for component, parameters in parameters_of(strategy.model, self.components).items():
            if parameters:
                self._start[component] = [(p, p.detach().clone()) for p in parameters.values()]
        hypernetwork = _hypernetwork_in(strategy.model)
        if hypernetwork is not None:
            current = current_tasks(strategy)
            self._written = {
                task: {name: w.clone() for name, w in hypernetwork([task]).items()}
                for task in hypernetwork.tasks
                if task not in current
            }

    @torch.no_grad()
    def after_training_epoch(self, strategy: Any) -> list[MetricValue] | None:
        epoch = strategy.clock.train_exp_epochs + 1
        if epoch % self.every and epoch != strategy.train_epochs:
            return None
        drift = {component: _relative(pairs) for component, pairs in self._start.items()}
        written = {}
        for task, start in self._written.items():
            now = _hypernetwork_in(strategy.model)([task])  # type: ignore[misc]
            written[f"Task{task}"] = _relative([(now[name], w) for name, w in start.items()])
        self._last = {**drift, **written}
        return [
            *self.values(strategy, "Drift_Epoch", drift),
            *self.values(strategy, "WrittenDrift_Epoch", written),
        ]


def _relative(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    moved = torch.stack([torch.linalg.vector_norm(now - start) for now, start in pairs])
    size = torch.stack([torch.linalg.vector_norm(start) for _, start in pairs])
    return float(moved.norm() / size.norm().clamp(min=torch.finfo(size.dtype).tiny))


def _hypernetwork_in(model: nn.Module) -> TaskWeights | None:
    return next((module for module in model.modules() if isinstance(module, TaskWeights)), None)
