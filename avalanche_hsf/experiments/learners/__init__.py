"""Learners: what a comparison can train."""

import lazy_loader

# Imported when asked for: which strategies are not compared is told without Avalanche.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
