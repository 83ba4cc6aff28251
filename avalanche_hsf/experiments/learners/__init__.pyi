from .base import Learner, Problem, Setting
from .found import LEARNERS, find_methods
from .unsound import UNSOUND

__all__ = ["LEARNERS", "UNSOUND", "Learner", "Problem", "Setting", "find_methods"]
