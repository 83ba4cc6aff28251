"""Models: torch modules that know no strategy."""

from avalanche_hsf.models.baselines.mlp import MLPAutoencoder
from avalanche_hsf.models.conditional import TaskConditional
from avalanche_hsf.models.flow import ManifoldNormalizingFlow
from avalanche_hsf.models.hsf import GENERATED, HypernetSDEFlow
from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.hypernetworks.chunked import ChunkedHyperNetwork
from avalanche_hsf.models.hypernetworks.delta import DeltaHyperNetwork
from avalanche_hsf.models.hypernetworks.embedding import TaskEmbedding
from avalanche_hsf.models.hypernetworks.isolated import IsolatedHyperNetwork
from avalanche_hsf.models.hypernetworks.mlp import MLPHyperNetwork
from avalanche_hsf.models.hypernetworks.paper import HyperNetwork
from avalanche_hsf.models.hypernetworks.registry import HYPERNETWORKS
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.output import HSFOutput
from avalanche_hsf.models.sde import NeuralSDE
from avalanche_hsf.models.tasks.call import call_per_task
from avalanche_hsf.models.tasks.class_mask import ClassMask
from avalanche_hsf.models.tasks.density import TaskDensity
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.mixture import LatentMixture
from avalanche_hsf.models.tasks.module import TaskModule
from avalanche_hsf.models.tasks.statistics import TaskStatistics
from avalanche_hsf.models.tasks.whitening import TaskWhitening

__all__ = [
    "GENERATED",
    "HYPERNETWORKS",
    "ChunkedHyperNetwork",
    "ClassMask",
    "DeltaHyperNetwork",
    "HSFOutput",
    "HyperNetwork",
    "HypernetSDEFlow",
    "IsolatedHyperNetwork",
    "LatentMixture",
    "MLPAutoencoder",
    "MLPHyperNetwork",
    "ManifoldNormalizingFlow",
    "NeuralSDE",
    "SeededNoise",
    "TaskConditional",
    "TaskDensity",
    "TaskEmbedding",
    "TaskGroups",
    "TaskModule",
    "TaskStatistics",
    "TaskWeights",
    "TaskWhitening",
    "call_per_task",
]
