"""Gaussian noise on the inputs."""

from __future__ import annotations

from typing import Any

import torch

from avalanche_hsf.checks import check_non_negative
from avalanche_hsf.seeds import resolve_seed
from avalanche_hsf.training.plugins.base import Protection


class InputNoisePlugin(Protection):
    """Adds Gaussian noise to the inputs of training minibatches; targets stay clean.

    A denoising autoencoder overfits less on few samples. For any supervised strategy. Stores
    nothing between tasks.

    Source: Vincent et al. 2008, https://doi.org/10.1145/1390156.1390294

    Args:
        std: Standard deviation in units of the input, at least 0.
        seed: Seed of the noise; if None it is drawn from torch's global generator.
    """

    def __init__(self, std: float = 0.1, *, seed: int | None = None) -> None:
        super().__init__()
        self.std = check_non_negative("std of InputNoisePlugin", std)
        self.generator = torch.Generator().manual_seed(resolve_seed(seed))

    def before_forward(self, strategy: Any, **kwargs: Any) -> None:
        x = strategy.mbatch[0]
        noise = torch.randn(x.shape, generator=self.generator, dtype=x.dtype).to(x.device)
        strategy.mbatch[0] = x + self.std * noise
