"""Hypernet-SDE-Flow for Avalanche."""

__version__ = "0.1.0"
