"""Analysis: why a model forgets, measured on any model under any Avalanche strategy."""

from avalanche_hsf.analysis.attribution import Attribution, attribute_forgetting, attribute_run
from avalanche_hsf.analysis.barrier import loss_barrier, loss_on_line
from avalanche_hsf.analysis.components import find_components
from avalanche_hsf.analysis.conflict import GradientConflict
from avalanche_hsf.analysis.drift import Drift
from avalanche_hsf.analysis.errors import error_on
from avalanche_hsf.analysis.gradients import gradient_conflict, loss_on, sharpness
from avalanche_hsf.analysis.loss_terms import LossTerms
from avalanche_hsf.analysis.probe import linear_probe
from avalanche_hsf.analysis.recorder import ModelRecorderPlugin
from avalanche_hsf.analysis.representation import linear_cka, outputs_of, representation_change

__all__ = [
    "Attribution",
    "Drift",
    "GradientConflict",
    "LossTerms",
    "ModelRecorderPlugin",
    "attribute_forgetting",
    "attribute_run",
    "error_on",
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
