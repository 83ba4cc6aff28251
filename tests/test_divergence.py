"""Runs that diverge stop at their step, say where, and leave the old tasks alone."""

import math
import re

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import EWC, Naive, Replay
from avalanche.training.plugins import EvaluationPlugin, LwFPlugin
from torch import nn

from avalanche_hsf.analysis import LossTerms
from avalanche_hsf.benchmarks import regression_benchmark
from avalanche_hsf.divergence import DivergedError, all_finite, norm_of
from avalanche_hsf.models import HYPERNETWORKS, HypernetSDEFlow, TaskConditional
from avalanche_hsf.training import (
    DetachedLikelihoodPlugin,
    DivergencePlugin,
    HSFStrategy,
    RawReplayPlugin,
    get_preset,
    make_protections,
)

PRESETS = ["paper", "repaired", "isolated", "compact"]
SMALL = {
    "hidden_dim": 8,
    "latent_dim": 4,
    "flow_layers": 2,
    "flow_hidden_dim": 8,
    "sde_hidden_dim": 8,
    "encoder_steps": 2,
    "decoder_steps": 1,
}
N, SIZE = 24, 8  # samples of a task, and of a minibatch
CAUSES = {
    "a rate of 1000": {"rate": 1e3},
    "a NaN in an input": {"x": (5, math.nan)},
    "a NaN in a target": {"y": (5, math.nan)},
    "infinity in the third minibatch": {"x": (2 * SIZE + 1, math.inf)},
    "inputs of 1e20": {"scale": 1e20},
}
EVERY_CAUSE = pytest.mark.parametrize("cause", CAUSES)


class InOrder(SupervisedPlugin):
    """Notes the old tasks' outputs before each step, and the step."""

    def __init__(self, old):
        super().__init__()
        self.old, self.steps, self.outputs = old, [], None

    def before_training_epoch(self, strategy, **kwargs):
        strategy.dataloader = torch.utils.data.DataLoader(
            strategy.adapted_dataset, SIZE, collate_fn=strategy.adapted_dataset.collate_fn
        )

    def before_training_iteration(self, strategy, **kwargs):
        clock = strategy.clock
        self.steps.append((clock.train_exp_epochs, clock.train_epoch_iterations))
        self.outputs = self.old()


def task(seed, *, x=None, y=None, scale=1.0, **_):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(N, 3, generator=generator)
    targets = inputs.tanh()
    inputs *= scale
    return inputs, targets, {"x": x, "y": y}


def stream(cause):
    """A healthy task and one with a fault, which no benchmark of ours would let in."""
    first, second = task(0), task(1, **CAUSES[cause])
    benchmark = regression_benchmark([first[:2], second[:2]])
    for tensor, name in zip(second[:2], ("x", "y"), strict=True):
        if second[2][name] is not None:
            row, value = second[2][name]
            dataset_tensor(benchmark, name)[row, 1] = value
    return benchmark.train_stream


def dataset_tensor(benchmark, name):
    dataset = benchmark.train_stream[1].dataset
    return dataset._flat_data._datasets[0].tensors["xy".index(name)]
