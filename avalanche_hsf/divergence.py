"""Training that has left the finite numbers."""

from __future__ import annotations


class DivergedError(ValueError):
    """A loss, gradient, weight, input or target is NaN or infinite; the step was not taken."""
