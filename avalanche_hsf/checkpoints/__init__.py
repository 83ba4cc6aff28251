"""Checkpoints: any Avalanche strategy saved, and resumed to the bit."""

from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.folder import resume, save
from avalanche_hsf.checkpoints.plugin import CheckpointPlugin

__all__ = ["CheckpointError", "CheckpointPlugin", "resume", "save"]
