"""Plugins that belong to checkpoints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from avalanche.core import SupervisedPlugin

from avalanche_hsf.checkpoints.stream import Known


class Watcher(SupervisedPlugin):
    """The base of plugins that no checkpoint keeps.

    Attributes:
        known: What is known of the stream.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known = Known()


def kept_plugins(strategy: Any) -> dict[str, Any]:
    """All other plugins, by class and number."""
    counts: Counter[str] = Counter()
    plugins = {}
    for plugin in strategy.plugins:
        if not isinstance(plugin, Watcher):
            name = type(plugin).__name__
            counts[name] += 1
            plugins[name if counts[name] == 1 else f"{name} {counts[name]}"] = plugin
    return plugins
