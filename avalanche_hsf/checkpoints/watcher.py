"""Plugins that belong to checkpoints."""

from __future__ import annotations

from typing import Any

from avalanche.core import SupervisedPlugin

from avalanche_hsf.checkpoints.kinds import by_name
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
    return by_name(plugin for plugin in strategy.plugins if not isinstance(plugin, Watcher))
