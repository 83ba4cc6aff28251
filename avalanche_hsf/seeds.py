"""Seeds that were not given."""

from __future__ import annotations

import torch

from avalanche_hsf.checks import LARGEST_SEED, check_int


def resolve_seed(seed: int | None) -> int:
    """The given seed, or one drawn from torch's global generator.

    So `torch.manual_seed`, or Avalanche's `RNGManager.set_random_seeds`, governs everything that
    is not seeded explicitly.

    >>> resolve_seed(7)
    7
    """
    if seed is None:
        return int(torch.randint(2**31, ()))
    return check_int("seed", seed, at_least=0, at_most=LARGEST_SEED)
