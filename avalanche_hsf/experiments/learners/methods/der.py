"""Dark experience replay: raw samples with the outputs that the model once gave for them."""

from __future__ import annotations

from typing import Any

from avalanche.training import DER

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy


def _der(setting: Setting, *, alpha: float, **arguments: Any) -> DER:
    model = setting.make_network()
    of_outputs = 4 * setting.output_dim
    mem_size = setting.memory_beside(model, per_sample=of_outputs)
    # With a beta above 0, 0.5 as in Avalanche, it is DER++.
    return make_strategy(DER, setting, model, mem_size=mem_size, alpha=alpha, **arguments)


LEARNERS = {
    "net-der": Learner(
        _der,
        "DER++, on the stream's network with one head",
        # Its paper's are from 0.1 to 1; the smallest did best on Split MNIST, and so smaller ones.
        grid("alpha", 0.01, 0.03, 0.1),
        optimizers=("AdamW",),
        regularized=False,
        group="class-incremental",
    )
}
