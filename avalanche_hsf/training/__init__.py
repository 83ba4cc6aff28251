"""How it learns: Avalanche strategy, plugins and presets."""

from avalanche_hsf.training.losses import BetaSchedule, negative_log_likelihood, separation
from avalanche_hsf.training.plugins import (
    EmbeddingTablePlugin,
    LatentReplayPlugin,
    SeparationPlugin,
)
from avalanche_hsf.training.presets import PRESETS, Preset, get_preset
from avalanche_hsf.training.strategy import HSFStrategy

__all__ = [
    "PRESETS",
    "BetaSchedule",
    "EmbeddingTablePlugin",
    "HSFStrategy",
    "LatentReplayPlugin",
    "Preset",
    "SeparationPlugin",
    "get_preset",
    "negative_log_likelihood",
    "separation",
]
