"""Which of ten classes come in which experience."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from avalanche_hsf.checks import LARGEST_SEED, check_bool, check_int, shown

N_CLASSES = 10


def classes_per_experience(n_experiences: int) -> dict[int, int]:
    """Number of classes by experience, the first ones with one more where it must be.

    >>> classes_per_experience(3)
    {0: 4, 1: 3, 2: 3}
    """
    if check_int("n_experiences", n_experiences, at_least=1) > N_CLASSES:
        raise ValueError(
            f"n_experiences must be at most {N_CLASSES}, one class each, got {n_experiences}"
        )
    per_experience, remainder = divmod(N_CLASSES, n_experiences)
    return {i: per_experience + (i < remainder) for i in range(n_experiences)}


def class_order(fixed: Sequence[int] | None, shuffle: bool, seed: int | None) -> list[int]:
    """The ten classes in the order of `fixed`, of a seed, or of torch's global generator.

    That is the order of Avalanche's benchmarks, without moving a global generator.
    """
    check_bool("shuffle", shuffle)
    if fixed is not None:
        if not isinstance(fixed, Iterable) or isinstance(fixed, Tensor):
            got = shown(fixed)
            raise TypeError(f"fixed_class_order must be a list of the ten classes, got {got}")
        order = [check_int("a class in fixed_class_order", c, at_least=0) for c in fixed]
        if sorted(order) != list(range(N_CLASSES)):
            raise ValueError(
                f"fixed_class_order must hold each of the classes 0 to 9 once, got {order}"
            )
        return order
    if not shuffle:
        return list(range(N_CLASSES))
    generator = torch.Generator()
    if seed is None:
        generator.set_state(torch.get_rng_state())
    else:
        generator.manual_seed(check_int("seed", seed, at_least=0, at_most=LARGEST_SEED))
    return torch.randperm(N_CLASSES, generator=generator).tolist()
