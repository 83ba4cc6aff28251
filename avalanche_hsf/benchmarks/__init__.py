"""What is learned: streams, as Avalanche benchmarks."""

from avalanche_hsf.benchmarks.reconstruction import reconstruction_benchmark
from avalanche_hsf.benchmarks.synthetic import PAPER_MANIFOLDS, SyntheticManifolds

__all__ = ["PAPER_MANIFOLDS", "SyntheticManifolds", "reconstruction_benchmark"]
