"""Plugins by name, for configurations that are data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.core import BasePlugin

from avalanche_hsf.training import plugins


def make_protections(arguments: Mapping[str, Mapping[str, Any]]) -> list[BasePlugin]:
    """New plugins.

    Args:
        arguments: The arguments of each plugin by the name of its class, see `Preset.protections`.

    Raises:
        ValueError: A name is unknown; the message lists the valid names.

    Example:
        >>> make_protections({"DiffusionFloorPlugin": {"floor": 0.2}})[0].floor
        0.2
    """
    for name in arguments:
        if name not in plugins.__all__:
            raise ValueError(f"unknown plugin {name!r}; choose from {', '.join(plugins.__all__)}")
    return [getattr(plugins, name)(**options) for name, options in arguments.items()]
