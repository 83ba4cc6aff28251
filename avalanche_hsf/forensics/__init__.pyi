from .findings import TaskFindings, examine
from .parts import choose_components
from .verdict import Verdict, give_verdict

__all__ = ["TaskFindings", "Verdict", "choose_components", "examine", "give_verdict"]
