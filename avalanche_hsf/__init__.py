"""Hypernet-SDE-Flow for Avalanche."""

__version__ = "0.1.0"

from avalanche_hsf._home import import_avalanche_without_a_home

import_avalanche_without_a_home()
