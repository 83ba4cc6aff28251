"""One plugin a file, each usable with any supervised Avalanche strategy."""

from avalanche_hsf.training.plugins.embedding_table import EmbeddingTablePlugin
from avalanche_hsf.training.plugins.replay import LatentReplayPlugin
from avalanche_hsf.training.plugins.separation import SeparationPlugin

__all__ = ["EmbeddingTablePlugin", "LatentReplayPlugin", "SeparationPlugin"]
