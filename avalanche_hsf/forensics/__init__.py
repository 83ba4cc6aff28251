"""Forensics: which part of a model forgot, said in words, and what to do about it."""

import lazy_loader

# Imported when asked for: two checkpoints and a loader need no Avalanche.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
