"""Benchmarks: the streams that are learned, as Avalanche benchmarks."""

import lazy_loader

# Imported when asked for: where the files of a data set lie is told without Avalanche.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
