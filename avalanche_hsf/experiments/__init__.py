"""Experiments: learners, streams, and the commands that run them."""

import sys

import lazy_loader

from avalanche_hsf.extras import require

# All of these, so that one sentence brings everything.
require(
    "avalanche_hsf.experiments",
    *("filelock", "pydantic", "tomli_w", "jinja2", "tabulate"),
    *("torchsde", "nflows", "pytorch_optimizer"),
    *(["tomli"] if sys.version_info < (3, 11) else []),
    extra="experiments",
)

# Imported when asked for: a wrong name is refused before torch and Avalanche, which take seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
