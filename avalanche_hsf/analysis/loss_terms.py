"""The terms of the loss over training, and the state of the latents."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from avalanche.evaluation.metric_results import MetricValue
from torch import Tensor

from avalanche_hsf.analysis.watch import WatchMetric
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.training.terms import forget_terms, watch_terms, watched_terms


class LossTerms(WatchMetric):
    """Size and gradient norm of each term of the loss, and the state of the HSF's latents.

    For each term, weight included, its value and the norm of its gradient over all parameters, as
    `LossTerm_Epoch/.../<term>` and `LossTermGradient_Epoch/.../<term>`. Terms are those added
    by plugins of this package ("nll", "replay", "sep", "output regularizer") and "recon", the
    remainder. For a `HypernetSDEFlow` also `Latents_Epoch/.../std`, the mean standard deviation of
    z0 over its dimensions, and `.../diffusion`, the mean of g(z0). `result()` has the values by
    term, by name of the metric.

    To be passed to Avalanche's `EvaluationPlugin`. It measures the first minibatch of an epoch, at
    one backward pass per term.

    Args:
        every: Epochs between two measurements, at least 1.
    """

    def reset(self) -> None:
        super().reset()
        self._due = False

    def before_training_epoch(self, strategy: Any) -> None:
        self._due = strategy.clock.train_exp_epochs % self.every == 0
        self._last = {}

    def before_forward(self, strategy: Any) -> None:
        if self._due:
            watch_terms(strategy)

    def before_backward(self, strategy: Any) -> None:
        """Comes after the plugins that add terms, since Avalanche's evaluator comes last."""
        if not self._due:
            return
        terms = watched_terms(strategy)
        terms = {"recon": strategy.loss - sum(terms.values()), **terms}
        parameters = [p for p in strategy.model.parameters() if p.requires_grad]
        self._last = {
            "LossTerm_Epoch": {name: float(term.detach()) for name, term in terms.items()},
            "LossTermGradient_Epoch": {
                name: _gradient_norm(term, parameters) for name, term in terms.items()
            },
        }
        latents = getattr(strategy, "mb_latents", None)
        if isinstance(strategy.model, HypernetSDEFlow) and latents is not None:
            with torch.no_grad():
                g = strategy.model.diffusion_of(latents.z0, strategy.mb_task_id)
                std = latents.z0.std(dim=0).mean()
            self._last["Latents_Epoch"] = {"std": float(std), "diffusion": float(g.mean())}

    def after_update(self, strategy: Any) -> None:
        if self._due:
            forget_terms(strategy)
            self._due = False

    def after_training_epoch(self, strategy: Any) -> list[MetricValue] | None:
        measured = (self.values(strategy, name, terms) for name, terms in self._last.items())
        return list(chain.from_iterable(measured)) or None

    def __str__(self) -> str:
        return "LossTerm_Epoch"


def _gradient_norm(term: Tensor, parameters: list[torch.nn.Parameter]) -> float:
    if not term.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    norms = [torch.linalg.vector_norm(g) for g in gradients if g is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0
