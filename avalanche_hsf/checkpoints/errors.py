"""What goes wrong with checkpoints."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint cannot be written or taken, with the reason; nothing was changed."""


class NotNowError(CheckpointError):
    """The state cannot be kept at this moment, but can be at the end of an experience."""
