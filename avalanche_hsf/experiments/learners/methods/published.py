"""The hypernetwork of von Oswald et al. 2020 with their settings of the polynomials.

https://arxiv.org/abs/1906.00695
"""

from __future__ import annotations

from functools import partial
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from torch import nn
from torch.optim import Adam

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    FreezeEmbeddingsPlugin,
    InMemoryLoadingPlugin,
    OutputRegularizerPlugin,
)


class _FreshOptimizer(SupervisedPlugin):
    """Drops the optimizer's state before each task, as the published code does."""

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        strategy.optimizer.state.clear()


def _build(setting: Setting, *, weight: float, plugins: Any = (), **common: Any) -> Naive:
    options = {
        "embedding_dim": 2,
        "embedding_std": 1.0,
        "hidden_dims": (10, 10),
        "activation": nn.Sigmoid,
    }
    network = setting.make_network()
    model = TaskConditional(
        network, hypernetwork="mlp", hypernetwork_options=options, seed=setting.seed
    )
    return Naive(
        model=model,
        optimizer=Adam(model.parameters(), lr=1e-2, fused=True),
        plugins=[
            *plugins,
            OutputRegularizerPlugin(weight, lookahead=True),
            FreezeEmbeddingsPlugin(),
            _FreshOptimizer(),
            InMemoryLoadingPlugin(),
        ],
        **(setting.arguments | common),
    )


def _learner(weight: float, about: str) -> Learner:
    return Learner(
        partial(_build, weight=weight), about, optimizers=(), regularized=False, ours=True
    )


LEARNERS = {
    "hn-published": _learner(0.005, "von Oswald et al. 2020, as published for polynomials"),
    "hn-published-unprotected": _learner(0.0, "the same without its output regularizer"),
}
