"""Analysis: why a model forgets, measured on any model under any Avalanche strategy."""

import lazy_loader

# Imported when asked for: what needs no Avalanche works without importing it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
