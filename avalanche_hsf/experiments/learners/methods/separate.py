"""A network of its own for each task."""

from __future__ import annotations

from typing import Any

from avalanche.training import Naive

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import make_strategy
from avalanche_hsf.models.baselines.separate import SeparateMLPAutoencoders
from avalanche_hsf.training import WarmStartPlugin


def _separate(setting: Setting, **arguments: Any) -> Any:
    # A network starts from the best old one, as our own hypernetworks do.
    model = SeparateMLPAutoencoders(setting.input_dim, latent_dim=setting.problem.latent_dim)
    return make_strategy(Naive, setting, model, last=[WarmStartPlugin()], **arguments)


LEARNERS = {
    "mlp-separate": Learner(
        _separate, "an MLP autoencoder for each task", autoencodes=True, group="peers"
    )
}
