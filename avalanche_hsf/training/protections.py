"""Plugins by name, for configurations that are data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.core import BasePlugin

from avalanche_hsf.checks import check_choice, check_mapping, check_options
from avalanche_hsf.training import plugins


def make_protections(arguments: Mapping[str, Mapping[str, Any]]) -> list[BasePlugin]:
    """New plugins.

    Args:
        arguments: The arguments of each plugin by the name of its class, see `Preset.protections`.

    Raises:
        TypeError: An option is unknown, or what should be a dictionary is none.
        ValueError: A name is unknown; the message lists the valid names.

    Example:
        >>> make_protections({"DiffusionFloorPlugin": {"floor": 0.2}})[0].floor
        0.2
    """
    given = check_mapping("arguments of plugins", arguments)
    for name in given:
        check_choice("plugin", name, plugins.__all__)
    return [_make(getattr(plugins, name), options) for name, options in given.items()]


def _make(plugin: type[BasePlugin], options: Any) -> BasePlugin:
    options = check_mapping(f"the options of {plugin.__name__}", options)
    check_options(plugin.__name__, options, plugin)
    return plugin(**options)
