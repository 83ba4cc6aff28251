"""Who learns: torch modules that know no strategy."""

from avalanche_hsf.models.flow import ManifoldNormalizingFlow
from avalanche_hsf.models.hsf import HSFOutput, HypernetSDEFlow
from avalanche_hsf.models.hypernetwork import HyperNetwork
from avalanche_hsf.models.mlp import MLPAutoencoder
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.sde import NeuralSDE
from avalanche_hsf.models.task_embedding import TaskEmbedding
from avalanche_hsf.models.task_groups import TaskGroups, task_linear

__all__ = [
    "HSFOutput",
    "HyperNetwork",
    "HypernetSDEFlow",
    "MLPAutoencoder",
    "ManifoldNormalizingFlow",
    "NeuralSDE",
    "SeededNoise",
    "TaskEmbedding",
    "TaskGroups",
    "task_linear",
]
