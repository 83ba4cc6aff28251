"""Modules that others are copied from, when a checkpoint has more of them than there are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from avalanche_hsf._private.torch import CHILDREN
from avalanche_hsf.checkpoints.kinds import address_of


class Prototypes:
    """A copy has the hooks and functions that no checkpoint keeps.

    Args:
        model: It, and the modules in it of classes that are not torch's own, are copied from.

    Attributes:
        kinds: Classes in the model by their addresses: one that is made in a function is found
            nowhere else.
    """

    def __init__(self, model: nn.Module) -> None:
        self.kinds = {address_of(type(module)): type(module) for module in model.modules()}
        self._modules = [
            module
            for module in model.modules()
            if module is model or not type(module).__module__.startswith("torch.nn")
        ]

    def copied(self, kind: type, attributes: Mapping[str, Any]) -> nn.Module | None:
        """A copy of the first of a class whose modules, all the way down, are of the same classes.

        Args:
            kind: The class.
            attributes: Nodes of what the copy is to hold.
        """
        for module in self._modules:
            if type(module) is kind and _resembles(module, attributes):
                return copy.deepcopy(module)
        return None


def _resembles(module: nn.Module, attributes: Mapping[str, Any]) -> bool:
    """Whether none of its modules would have to be of another class; there may be more or less."""
    children = dict(module.named_children())
    for name, node in _pairs(attributes):
        if name in children and isinstance(node, list) and node[0] == "object":
            child = children[name]
            if node[2] != address_of(type(child)) or not _resembles(child, node[3]):
                return False
    return True


def _pairs(attributes: Mapping[str, Any]) -> Any:
    node = attributes.get(CHILDREN)
    return node[3] if isinstance(node, list) and node[0] == "dict" else ()
