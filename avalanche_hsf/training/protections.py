"""Plugins by name, for configurations that are data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from avalanche.core import BasePlugin

from avalanche_hsf.checks import check_choice, check_mapping
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
    checked = {
        check_choice("plugin", name, plugins.__all__): check_mapping(
            f"the options of {name}", given
        )
        for name, given in check_mapping("arguments of plugins", arguments).items()
    }
    return [_make(getattr(plugins, name), options) for name, options in checked.items()]


def _make(plugin: type[BasePlugin], options: Mapping[str, Any]) -> BasePlugin:
    names = list(inspect.signature(plugin).parameters)
    for option in options:
        if option not in names:
            choice = ", ".join(names) or "nothing, it takes no options"
            raise TypeError(f"{plugin.__name__} has no option {option!r}; choose from {choice}")
    return plugin(**options)
