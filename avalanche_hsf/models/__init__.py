"""Who learns: torch modules that know no strategy."""

from avalanche_hsf.models.class_mask import ClassMask
from avalanche_hsf.models.delta import DeltaHyperNetwork
from avalanche_hsf.models.flow import ManifoldNormalizingFlow
from avalanche_hsf.models.hsf import GENERATED, HSFOutput, HypernetSDEFlow
from avalanche_hsf.models.hypernetwork import HyperNetwork
from avalanche_hsf.models.hypernetworks import HYPERNETWORKS
from avalanche_hsf.models.isolated import IsolatedHyperNetwork
from avalanche_hsf.models.mlp import MLPAutoencoder
from avalanche_hsf.models.mlp_hypernetwork import MLPHyperNetwork
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.sde import NeuralSDE
from avalanche_hsf.models.task_conditional import TaskConditional
from avalanche_hsf.models.task_embedding import TaskEmbedding
from avalanche_hsf.models.task_groups import TaskGroups
from avalanche_hsf.models.task_module import TaskModule
from avalanche_hsf.models.task_statistics import TaskStatistics
from avalanche_hsf.models.task_weights import TaskWeights, call_per_task
from avalanche_hsf.models.whitening import TaskWhitening

__all__ = [
    "GENERATED",
    "HYPERNETWORKS",
    "ClassMask",
    "DeltaHyperNetwork",
    "HSFOutput",
    "HyperNetwork",
    "HypernetSDEFlow",
    "IsolatedHyperNetwork",
    "MLPAutoencoder",
    "MLPHyperNetwork",
    "ManifoldNormalizingFlow",
    "NeuralSDE",
    "SeededNoise",
    "TaskConditional",
    "TaskEmbedding",
    "TaskGroups",
    "TaskModule",
    "TaskStatistics",
    "TaskWeights",
    "TaskWhitening",
    "call_per_task",
]
