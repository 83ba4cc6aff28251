"""Former home of two functions that `detached_likelihood` imports."""

from avalanche_hsf.training.plugins.base import check_alone
from avalanche_hsf.training.terms import add_term

__all__ = ["add_term", "check_alone"]
