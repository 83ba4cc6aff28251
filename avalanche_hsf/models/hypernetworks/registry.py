"""The kinds of hypernetworks, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.hypernetworks.delta import DeltaHyperNetwork
from avalanche_hsf.models.hypernetworks.isolated import IsolatedHyperNetwork
from avalanche_hsf.models.hypernetworks.mlp import MLPHyperNetwork
from avalanche_hsf.models.hypernetworks.paper import HyperNetwork

HYPERNETWORKS: Mapping[str, Callable[..., TaskWeights]] = {
    "paper": HyperNetwork,
    "mlp": MLPHyperNetwork,
    "isolated": IsolatedHyperNetwork,
    "delta": DeltaHyperNetwork,
}
"""Kinds of hypernetworks by name."""


def make_hypernetwork(
    kind: str | Callable[..., TaskWeights], initial: Mapping[str, Tensor], **options: Any
) -> TaskWeights:
    """A hypernetwork by a name in `HYPERNETWORKS`, or by a class or function like those there.

    Raises:
        ValueError: The name is unknown; the message lists the valid ones.
    """
    if not isinstance(kind, str):
        return kind(initial, **options)
    if kind not in HYPERNETWORKS:
        raise ValueError(f"unknown hypernetwork {kind!r}; choose from {', '.join(HYPERNETWORKS)}")
    return HYPERNETWORKS[kind](initial, **options)
