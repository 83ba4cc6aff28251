"""The hypernetworks of von Oswald et al. 2020 with their settings: of the polynomials, in chunks.

https://arxiv.org/abs/1906.00695
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy
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


def _adam(parameters: Iterable[nn.Parameter], name: str, lr: float) -> Optimizer:
    """Adam as published, which is what AdamW is without its decay."""
    return AdamW(parameters, lr=lr, weight_decay=0.0, fused=True)


def in_chunks(
    setting: Setting,
    *,
    weight: float,
    further: Callable[[TaskConditional], Iterable[SupervisedPlugin]] | None = None,
    **arguments: Any,
) -> Any:
    """At the size of their network for Split MNIST, their hypernetwork.

    In smaller ones embeddings shrink along, or they would be most of the hypernetwork. `further`
    makes plugins for the model.
    """
    network = setting.make_network()
    n_weights = sum(p.numel() for p in network.parameters())
    dim = min(96, max(4, round(96 * n_weights / 478_410)))
    model = TaskConditional(
        network,
        hypernetwork="chunked",
        hypernetwork_options={"embedding_dim": dim, "chunk_embedding_dim": dim},
        masking=setting.problem.classifies,  # as their heads
        seed=setting.seed,
    )
    protections = [OutputRegularizerPlugin(weight, lookahead=True), FreezeEmbeddingsPlugin()]
    return make_strategy(
        Naive,
        setting,
        model,
        make_optimizer=_adam,
        last=[*protections, _FreshOptimizer(), *(further(model) if further else ())],
        **arguments,
    )


LEARNERS = {
    "hn-published": _learner(0.005, "von Oswald et al. 2020, as published for polynomials"),
    "hn-published-unprotected": _learner(0.0, "the same without its output regularizer"),
    "hn-chunked": Learner(
        in_chunks,
        "von Oswald et al. 2020 in chunks, with fewer weights than the stream's network",
        grid("weight", 0.001, 0.01, 0.1),
        optimizers=("AdamW",),
        regularized=False,
        group="networks",
        ours=True,
    ),
}
