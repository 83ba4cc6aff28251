"""The kinds of hypernetworks, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from avalanche_hsf.checks import check_choice, shown
from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.hypernetworks.chunked import ChunkedHyperNetwork
from avalanche_hsf.models.hypernetworks.delta import DeltaHyperNetwork
from avalanche_hsf.models.hypernetworks.isolated import IsolatedHyperNetwork
from avalanche_hsf.models.hypernetworks.mlp import MLPHyperNetwork
from avalanche_hsf.models.hypernetworks.paper import HyperNetwork

HYPERNETWORKS: Mapping[str, Callable[..., TaskWeights]] = {
    "paper": HyperNetwork,
    "mlp": MLPHyperNetwork,
    "chunked": ChunkedHyperNetwork,
    "isolated": IsolatedHyperNetwork,
    "delta": DeltaHyperNetwork,
}
"""Kinds of hypernetworks by name."""


def make_hypernetwork(
    kind: str | Callable[..., TaskWeights], initial: Mapping[str, Tensor], **options: Any
) -> TaskWeights:
    """A hypernetwork by a name in `HYPERNETWORKS`, or by a class or function like those there.

    Raises:
        TypeError: It does not take these options, or makes no `TaskWeights`.
        ValueError: The name is unknown; the message lists the valid ones.
    """
    if isinstance(kind, str) or not callable(kind) or isinstance(kind, nn.Module):
        make = HYPERNETWORKS[check_choice("hypernetwork", kind, HYPERNETWORKS)]
    else:
        make = kind
    try:
        inspect.signature(make).bind(initial, **options)
    except TypeError as error:
        raise TypeError(
            f"the hypernetwork {getattr(make, '__name__', make)} does not take its arguments: "
            f"{error}; see hypernetwork_options"
        ) from None
    made = make(initial, **options)
    if not isinstance(made, TaskWeights):
        raise TypeError(f"a hypernetwork must be a TaskWeights module, got {shown(made)}")
    return made
