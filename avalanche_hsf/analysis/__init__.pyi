from .attribution import Attribution, attribute_forgetting, attribute_run
from .barrier import loss_barrier, loss_on_line
from .components import find_components
from .conflict import GradientConflict
from .drift import Drift
from .errors import error_on, errors_on
from .gradients import gradient_conflict, loss_on, sharpness
from .loss_terms import LossTerms
from .probe import linear_probe
from .recorder import ModelRecorderPlugin
from .representation import linear_cka, outputs_of, representation_change

__all__ = [
    "Attribution",
    "Drift",
    "GradientConflict",
    "LossTerms",
    "ModelRecorderPlugin",
    "attribute_forgetting",
    "attribute_run",
    "error_on",
    "errors_on",
    "find_components",
    "gradient_conflict",
    "linear_cka",
    "linear_probe",
    "loss_barrier",
    "loss_on",
    "loss_on_line",
    "outputs_of",
    "representation_change",
    "sharpness",
]
