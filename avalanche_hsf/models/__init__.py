"""Models: torch modules that know no strategy."""

import lazy_loader

# Imported when asked for: some need Avalanche, which takes seconds, others torch alone.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
