"""Benchmarks: the streams that are learned, as Avalanche benchmarks."""

from avalanche_hsf.benchmarks.curves import PAPER_MANIFOLDS, RandomManifolds, SyntheticManifolds
from avalanche_hsf.benchmarks.digits import SplitDigits
from avalanche_hsf.benchmarks.images import SyntheticImages
from avalanche_hsf.benchmarks.mnist import PermutedMNIST, SplitFMNIST, SplitMNIST
from avalanche_hsf.benchmarks.polynomials import PolynomialRegression
from avalanche_hsf.benchmarks.reconstruction import as_reconstruction
from avalanche_hsf.benchmarks.tensor_streams import reconstruction_benchmark, regression_benchmark

__all__ = [
    "PAPER_MANIFOLDS",
    "PermutedMNIST",
    "PolynomialRegression",
    "RandomManifolds",
    "SplitDigits",
    "SplitFMNIST",
    "SplitMNIST",
    "SyntheticImages",
    "SyntheticManifolds",
    "as_reconstruction",
    "reconstruction_benchmark",
    "regression_benchmark",
]
