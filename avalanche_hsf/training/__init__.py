"""Training: Avalanche strategy, plugins and presets."""

from avalanche_hsf.training import plugins
from avalanche_hsf.training.losses import BetaSchedule, negative_log_likelihood, separation
from avalanche_hsf.training.optimizers import make_optimizer
from avalanche_hsf.training.plugins import *  # noqa: F403  # all of `plugins.__all__`
from avalanche_hsf.training.presets import DEFAULT, PRESETS, Preset, get_preset
from avalanche_hsf.training.protections import make_protections
from avalanche_hsf.training.strategy import HSFStrategy

__all__ = [
    "DEFAULT",
    "PRESETS",
    "BetaSchedule",
    "HSFStrategy",
    "Preset",
    "get_preset",
    "make_optimizer",
    "make_protections",
    "negative_log_likelihood",
    "separation",
]
__all__ += plugins.__all__
