"""Less-forgetful learning: features stay near those of the last model."""

from __future__ import annotations

from typing import Any

from avalanche.models.base_model import BaseModel
from avalanche.training import LFL
from torch import Tensor

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy
from avalanche_hsf.models import MLPAutoencoder


class _FeatureMLPAutoencoder(MLPAutoencoder, BaseModel):
    """What LFL asks for: the features that its frozen last layer reads."""

    def get_features(self, x: Tensor) -> Tensor:
        return self.decoder[:-1](self.encoder(x.flatten(1)))


def _lfl(setting: Setting, **arguments: Any) -> Any:
    model = _FeatureMLPAutoencoder(setting.input_dim, latent_dim=setting.problem.latent_dim)
    return make_strategy(LFL, setting, model, **arguments)


LEARNERS = {
    "mlp-lfl": Learner(
        _lfl,
        "LFL, on an MLP autoencoder",
        grid("lambda_e", 0.1, 1, 10),
        autoencodes=True,
        group="peers",
    )
}
