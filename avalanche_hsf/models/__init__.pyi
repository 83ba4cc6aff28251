from .baselines.mlp import MLPAutoencoder
from .conditional import TaskConditional
from .export import export_task
from .flow import ManifoldNormalizingFlow
from .footprint import Storage, storage
from .hsf import GENERATED, HypernetSDEFlow
from .hsf_network import HSFNetwork
from .hypernetworks.base import TaskWeights
from .hypernetworks.chunked import ChunkedHyperNetwork
from .hypernetworks.delta import DeltaHyperNetwork
from .hypernetworks.embedding import TaskEmbedding
from .hypernetworks.isolated import IsolatedHyperNetwork
from .hypernetworks.mlp import MLPHyperNetwork
from .hypernetworks.paper import HyperNetwork
from .hypernetworks.registry import HYPERNETWORKS
from .noise import SeededNoise
from .output import HSFOutput
from .sde import NeuralSDE
from .tasks.call import call_per_task
from .tasks.class_mask import ClassMask
from .tasks.density import TaskDensity
from .tasks.groups import TaskGroups
from .tasks.mixture import LatentMixture
from .tasks.module import TaskModule
from .tasks.statistics import TaskStatistics
from .tasks.whitening import TaskWhitening

__all__ = [
    "GENERATED",
    "HYPERNETWORKS",
    "ChunkedHyperNetwork",
    "ClassMask",
    "DeltaHyperNetwork",
    "HSFNetwork",
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
    "Storage",
    "TaskConditional",
    "TaskDensity",
    "TaskEmbedding",
    "TaskGroups",
    "TaskModule",
    "TaskStatistics",
    "TaskWeights",
    "TaskWhitening",
    "call_per_task",
    "export_task",
    "storage",
]
