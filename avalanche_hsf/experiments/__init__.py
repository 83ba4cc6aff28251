"""Experiments: learners, streams, and the commands that run them."""

import lazy_loader

# Imported when asked for: a wrong name is refused before torch and Avalanche, which take seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
