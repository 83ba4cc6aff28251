"""Shapley values of a game: what each component adds to what all do together.

A game is a function from a set of components to a tensor, an entry for each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

Value = Callable[[Iterable[str]], Tensor]


def exact(names: list[str], v: Value) -> dict[str, Tensor]:
    """The Shapley value of each component, Shapley 1953, by all orders."""
    n = len(names)
    shapley = {name: torch.zeros_like(v([])) for name in names}
    for name in names:
        others = [component for component in names if component != name]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for chosen in combinations(others, size):
                shapley[name] += weight * (v([*chosen, name]) - v(chosen))
    return shapley


def interactions(names: list[str], v: Value) -> dict[str, dict[str, float]]:
    """The Shapley interaction index, Grabisch and Roubens 1999, of each pair."""
    n = len(names)
    found: dict[str, dict[str, float]] = {name: {} for name in names}
    for pair in combinations(names, 2):
        others = [component for component in names if component not in pair]
        total = 0.0
        for size in range(n - 1):
            weight = factorial(size) * factorial(n - size - 2) / factorial(n - 1)
            for chosen in combinations(others, size):
                first, second = (v([*chosen, name]) for name in pair)
                both = v([*chosen, *pair]) - first - second + v(chosen)
                total += weight * float(both.mean())
        c, d = pair
        found[c][d] = found[d][c] = total
    return found


def sampled(
    names: list[str], v: Value, n_orders: int, seed: int
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The mean contributions by sample, and the standard errors over the orders."""
    generator = torch.Generator().manual_seed(seed)
    added = torch.zeros(n_orders, len(names), len(v([])), dtype=torch.float64)
    for i in range(n_orders):
        order = torch.randperm(len(names), generator=generator).tolist()
        for direction in (order, order[::-1]):
            for place, k in enumerate(direction):
                before = [names[m] for m in direction[:place]]
                added[i, k] += (v([*before, names[k]]) - v(before)) / 2
    errors = added.mean(dim=2).std(dim=0) / n_orders**0.5
    by_sample = dict(zip(names, added.mean(dim=0), strict=True))
    return by_sample, dict(zip(names, errors.tolist(), strict=True))
