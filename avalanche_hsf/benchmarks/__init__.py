"""What is learned: streams, as Avalanche benchmarks."""

from avalanche_hsf.benchmarks.digits import SplitDigits
from avalanche_hsf.benchmarks.random_manifolds import RandomManifolds
from avalanche_hsf.benchmarks.reconstruction import as_reconstruction, reconstruction_benchmark
from avalanche_hsf.benchmarks.synthetic import PAPER_MANIFOLDS, SyntheticManifolds

__all__ = [
    "PAPER_MANIFOLDS",
    "RandomManifolds",
    "SplitDigits",
    "SyntheticManifolds",
    "as_reconstruction",
    "reconstruction_benchmark",
]
