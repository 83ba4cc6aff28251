"""Why it forgets: measurements on any model under any Avalanche strategy."""

from avalanche_hsf.analysis.attribution import Attribution, attribute_forgetting, attribute_run
from avalanche_hsf.analysis.components import find_components
from avalanche_hsf.analysis.errors import error_on
from avalanche_hsf.analysis.recorder import ModelRecorderPlugin

__all__ = [
    "Attribution",
    "ModelRecorderPlugin",
    "attribute_forgetting",
    "attribute_run",
    "error_on",
    "find_components",
]
