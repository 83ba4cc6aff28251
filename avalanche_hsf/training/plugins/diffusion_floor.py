"""A floor under the diffusion of SDEs."""

from __future__ import annotations

from typing import Any

from avalanche_hsf.checks import check_non_negative
from avalanche_hsf.training.plugins.base import Protection


class DiffusionFloorPlugin(Protection):
    """Sets a floor under the learned diffusion of every `NeuralSDE` in the model.

    A learner rewarded for reconstruction lets its diffusion shrink until the SDE is effectively
    an ODE. With g >= floor the model stays stochastic. This does not reduce forgetting. Stores
    nothing between tasks.

    For any supervised strategy whose model has a `NeuralSDE`.

    Args:
        floor: At least 0, in units of the state per square root of time.
    """

    def __init__(self, floor: float = 0.1) -> None:
        super().__init__()
        self.floor = check_non_negative("floor", floor)

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Sets the floor; raises TypeError, before any training, if there is no SDE."""
        from avalanche_hsf.models import NeuralSDE  # needs an extra, which others do without

        self.find(NeuralSDE, strategy)
        super().before_training_exp(strategy, **kwargs)
        for module in strategy.model.modules():
            if isinstance(module, NeuralSDE):
                module.diffusion_floor = self.floor
