"""Benchmarks: the streams that are learned, as Avalanche benchmarks."""

from avalanche_hsf.benchmarks.digits import SplitDigits
from avalanche_hsf.benchmarks.images import SyntheticImages
from avalanche_hsf.benchmarks.polynomials import PolynomialRegression
from avalanche_hsf.benchmarks.random_manifolds import RandomManifolds
from avalanche_hsf.benchmarks.reconstruction import as_reconstruction, reconstruction_benchmark
from avalanche_hsf.benchmarks.regression import regression_benchmark
from avalanche_hsf.benchmarks.synthetic import PAPER_MANIFOLDS, SyntheticManifolds

__all__ = [
    "PAPER_MANIFOLDS",
    "PolynomialRegression",
    "RandomManifolds",
    "SplitDigits",
    "SyntheticImages",
    "SyntheticManifolds",
    "as_reconstruction",
    "reconstruction_benchmark",
    "regression_benchmark",
]
