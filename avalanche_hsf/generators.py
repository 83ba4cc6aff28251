"""The global generators of random numbers, left as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def generators_kept(seed: int | None = None) -> Iterator[None]:
    """Puts those of Python, numpy and torch back afterwards, whatever is drawn within.

    Args:
        seed: That they have within; None: they go on.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
