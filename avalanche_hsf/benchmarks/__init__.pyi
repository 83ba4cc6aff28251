from .curves import PAPER_MANIFOLDS, RandomManifolds, SyntheticManifolds
from .digits import SplitDigits
from .images import SyntheticImages
from .mnist import PermutedMNIST, SplitFMNIST, SplitMNIST
from .polynomials import PolynomialRegression
from .reconstruction import as_reconstruction
from .tensor_streams import reconstruction_benchmark, regression_benchmark

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
