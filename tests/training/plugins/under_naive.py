"""Plugins on their own: under Avalanche's Naive, on a small model."""

import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.models import HypernetSDEFlow


def stream(n_samples=20):
    return SyntheticManifolds(n_samples).train_stream


def small(kind="paper", input_dim=3, **options):
    """A small model with the hypernetwork of that kind."""
    sizes = {"hidden_dim": 8, "latent_dim": 4, "flow_hidden_dim": 8, "sde_hidden_dim": 8}
    steps = {"encoder_steps": 2, "decoder_steps": 1, "flow_layers": 2}
    generated = "paper" if kind == "paper" else "all"
    options = {"generated": generated, "hypernetwork": kind, "seed": 0, **sizes, **steps, **options}
    return HypernetSDEFlow(input_dim, **options)


def naive(*plugins, model=None, optimizer=None, criterion=None, train_epochs=1, train_mb_size=100):
    model = small() if model is None else model
    return Naive(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters()) if optimizer is None else optimizer,
        criterion=nn.MSELoss() if criterion is None else criterion,
        train_mb_size=train_mb_size,
        train_epochs=train_epochs,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(loggers=[]),
    )


def with_momentum(model):
    """An optimizer that moves whatever has a gradient, even zero, or had one once."""
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)


def parameters(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


class Added(SupervisedPlugin):
    """What the plugins before this one add to the loss, iteration by iteration."""

    def __init__(self):
        super().__init__()
        self.values = []

    def before_backward(self, strategy, **kwargs):
        plain = strategy._criterion(strategy.mb_output, strategy.mb_y)
        self.values.append(float((strategy.loss - plain).detach()))


class WithoutReconstruction(SupervisedPlugin):
    """First among plugins: leaves only their terms in the loss; notes what these reach."""

    def __init__(self):
        super().__init__()
        self.reached = []

    def before_backward(self, strategy, **kwargs):
        strategy.loss = 0 * strategy.loss

    def after_backward(self, strategy, **kwargs):
        moved = {
            name
            for name, p in strategy.model.named_parameters()
            if p.grad is not None and p.grad.abs().sum() > 0
        }
        self.reached.append(moved)
