"""A model that is asked something: in evaluation mode, without noise, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from avalanche_hsf.models.noise import SeededNoise


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients and without noise: an SDE runs along its drift.

    So a sample gets the same answer whenever it is asked for and whatever else is in its batch, up
    to rounding, and asking changes no later result.
    """
    modes = [(module, module.training) for module in model.modules()]
    noises = [module for module in model.modules() if isinstance(module, SeededNoise)]
    silent = [noise.silent for noise in noises]
    model.eval()
    for noise in noises:
        noise.silent = True
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        for noise, before in zip(noises, silent, strict=True):
            noise.silent = before
