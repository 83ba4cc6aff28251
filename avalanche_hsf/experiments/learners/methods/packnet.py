"""PackNet: each task has a share of the weights of its own."""

from __future__ import annotations

from typing import Any

from avalanche.models.packnet import PackNetPlugin
from avalanche.training import Naive
from torch.optim import Adam

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import autoencoder, grid, make_strategy
from avalanche_hsf.experiments.learners.mended import PackNetWithoutClasses


def _packnet(setting: Setting, *, post_prune: float, **arguments: Any) -> Any:
    n, epochs = setting.n_tasks, setting.epochs
    pruning = PackNetPlugin(
        post_prune_epochs=max(1, min(epochs - 1, round(post_prune * epochs))),
        prune_proportion=[(n - 1 - i) / (n - i) for i in range(n)],  # equal shares of the weights
    )
    return make_strategy(
        # Avalanche's PackNet loses the plugins that it is given: it nests them in its own list.
        Naive,
        setting,
        PackNetWithoutClasses(autoencoder(setting)),
        # It makes a new optimizer for each task: before plugins that look for the optimizer.
        first=[pruning],
        # No weight decay, which would shrink frozen weights: they have a gradient, of zero.
        make_optimizer=lambda parameters, _, lr: Adam(parameters, lr=lr, betas=(0.9, 0.95)),
        **arguments,
    )


LEARNERS = {
    "mlp-packnet": Learner(
        _packnet,
        "PackNet, on an MLP autoencoder",
        grid("post_prune", 0.5, 0.8),
        optimizers=("AdamW",),  # SOAP mixes the gradients of a matrix, its frozen entries included
        autoencodes=True,
        group="peers",
    )
}
