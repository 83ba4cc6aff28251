"""Fine-tuning: nothing is done against forgetting."""

from __future__ import annotations

from functools import partial
from typing import Any

from avalanche.training import Naive
from torch.optim import AdamW

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import autoencoder, make_strategy, on_both
from avalanche_hsf.training import InMemoryLoadingPlugin


def _as_in_the_paper(setting: Setting, *, plugins: Any = (), **common: Any) -> Naive:
    """One AdamW for all tasks, at a constant rate."""
    model = autoencoder(setting)
    return Naive(
        model=model,
        optimizer=AdamW(model.parameters(), lr=5e-4),
        plugins=[*plugins, InMemoryLoadingPlugin()],
        **(setting.arguments | common),
    )


LEARNERS = {
    "mlp-paper": Learner(
        _as_in_the_paper,
        "the paper's baseline: an MLP autoencoder under Naive",
        optimizers=(),
        regularized=False,
        autoencodes=True,
    ),
    **on_both("naive", partial(make_strategy, Naive), "Naive, fine-tuning"),
}
