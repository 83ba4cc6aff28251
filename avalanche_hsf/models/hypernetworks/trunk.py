"""The MLP of the literature's hypernetworks: its options, its layers and how they start."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from avalanche_hsf.checks import check_layers, check_size, numbers_in, shown

HUGE = 10_000_000
"""Numbers from which a hypernetwork says that it is ten times as large as what it writes."""


def check_trunk(n_in: int, hidden_dims: object, activation: object) -> list[int]:
    """The widths of a trunk from its input on; TypeError or ValueError if there is none."""
    if not isinstance(hidden_dims, Sequence) or isinstance(hidden_dims, (str, bytes)):
        raise TypeError(f"hidden_dims must be a list of widths, got {shown(hidden_dims)}")
    if not hidden_dims:
        raise ValueError("hidden_dims must have at least one width, got none")
    if isinstance(activation, nn.Module) or not callable(activation):
        raise TypeError(f"activation must make modules, as nn.ReLU does, got {shown(activation)}")
    return [n_in, *(check_size("a hidden width", h) for h in hidden_dims)]


def check_fits(kind: str, widths: Sequence[int], n_written: int, cure: str) -> None:
    """Warns of, or refuses, what is too large, before anything is allocated.

    Args:
        kind: The hypernetwork's name in `HYPERNETWORKS`.
        widths: Of all its layers.
        n_written: Numbers that it writes for a task.
        cure: Which options make it smaller.
    """
    check_layers("the hypernetwork", *widths)
    size = numbers_in(*widths)
    if size >= 10 * n_written and size >= HUGE:
        warnings.warn(
            f'the hypernetwork "{kind}" has {size:,} numbers, {size / n_written:.0f} times what it '
            f"writes ({size * 4 / 2**30:.1f} GiB): give it {cure}, write fewer tensors "
            '(written=), or use "isolated" or "delta"',
            stacklevel=3,
        )


def make_trunk(widths: Sequence[int], activation: Callable[[], nn.Module]) -> nn.Sequential:
    """Linear layers from each width to the next, each with its nonlinearity."""
    trunk = nn.Sequential()
    for n_in, n_out in pairwise(widths):
        layer = nn.Linear(n_in, n_out)
        if not isinstance(nonlinearity := activation(), nn.Module):
            raise TypeError(f"activation must make modules, but makes {shown(nonlinearity)}")
        trunk.extend([layer, nonlinearity])
    return trunk


def start_as_published(hypernetwork: nn.Module) -> None:
    """Gives its linear layers Xavier's uniform weights and zero biases.

    Source: Glorot and Bengio 2010; von Oswald et al.'s public code starts its hypernetworks so.
    """
    for module in hypernetwork.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
