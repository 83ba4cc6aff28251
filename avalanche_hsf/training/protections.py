"""Plugins by name, for configurations that are data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.core import BasePlugin

from avalanche_hsf.training import plugins


def make_protections(arguments: Mapping[str, Mapping[str, Any]]) -> list[BasePlugin]:
    """New plugins.

    Args:
        arguments: Those of each plugin, by the name of its class, as in `Preset.protections`.

    Raises:
        ValueError: There is no such plugin; the message lists those there are.

    Example:
        >>> make_protections({"DiffusionFloorPlugin": {"floor": 0.2}})[0].floor
        0.2
    """
    for name in arguments:
        if name not in plugins.__all__:
            raise ValueError(f"there is no plugin {name!r}; there are {', '.join(plugins.__all__)}")
    return [getattr(plugins, name)(**of_it) for name, of_it in arguments.items()]
