"""Plugins, one per file, each for any supervised Avalanche strategy."""

from avalanche_hsf.training.plugins.commit import CommitPlugin
from avalanche_hsf.training.plugins.cosine_restart import CosineRestartPlugin
from avalanche_hsf.training.plugins.decay_to_start import DecayToStartPlugin
from avalanche_hsf.training.plugins.detached_likelihood import DetachedLikelihoodPlugin
from avalanche_hsf.training.plugins.diffusion_floor import DiffusionFloorPlugin
from avalanche_hsf.training.plugins.divergence import DivergencePlugin
from avalanche_hsf.training.plugins.embedding_table import EmbeddingTablePlugin
from avalanche_hsf.training.plugins.freeze_embeddings import FreezeEmbeddingsPlugin
from avalanche_hsf.training.plugins.freeze_shared import FreezeSharedPlugin
from avalanche_hsf.training.plugins.generated_replay import GeneratedReplayPlugin
from avalanche_hsf.training.plugins.in_memory_loading import InMemoryLoadingPlugin
from avalanche_hsf.training.plugins.input_noise import InputNoisePlugin
from avalanche_hsf.training.plugins.latent_replay import LatentReplayPlugin
from avalanche_hsf.training.plugins.output_regularizer import OutputRegularizerPlugin
from avalanche_hsf.training.plugins.raw_replay import RawReplayPlugin
from avalanche_hsf.training.plugins.separation import SeparationPlugin
from avalanche_hsf.training.plugins.task_inference import TaskInferencePlugin
from avalanche_hsf.training.plugins.warm_start import WarmStartPlugin

__all__ = [
    "CommitPlugin",
    "CosineRestartPlugin",
    "DecayToStartPlugin",
    "DetachedLikelihoodPlugin",
    "DiffusionFloorPlugin",
    "DivergencePlugin",
    "EmbeddingTablePlugin",
    "FreezeEmbeddingsPlugin",
    "FreezeSharedPlugin",
    "GeneratedReplayPlugin",
    "InMemoryLoadingPlugin",
    "InputNoisePlugin",
    "LatentReplayPlugin",
    "OutputRegularizerPlugin",
    "RawReplayPlugin",
    "SeparationPlugin",
    "TaskInferencePlugin",
    "WarmStartPlugin",
]
