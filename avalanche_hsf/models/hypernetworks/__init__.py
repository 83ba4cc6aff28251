"""Hypernetworks: networks that write the weights of another one, task by task."""

from avalanche_hsf.models.hypernetworks.registry import HYPERNETWORKS, make_hypernetwork

__all__ = ["HYPERNETWORKS", "make_hypernetwork"]
