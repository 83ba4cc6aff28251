"""A model that is asked something: in evaluation mode, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from avalanche_hsf.models.noise import SeededNoise


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the same noise each time, and no draw of the model's own.

    So a sample gets the same answer whenever it is asked for, and asking changes no later result.
    """
    modes = [(module, module.training) for module in model.modules()]
    noises = [module for module in model.modules() if isinstance(module, SeededNoise)]
    states = [noise.get_extra_state() for noise in noises]
    model.eval()
    try:
        for noise in noises:
            noise.set_extra_state(SeededNoise(noise.seed, stream=noise.stream).get_extra_state())
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for noise, state in zip(noises, states, strict=True):
            noise.set_extra_state(state)
