"""How a stream becomes a problem."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from avalanche.benchmarks import CLScenario
from torch import Tensor, nn

from avalanche_hsf.evaluation import ErrorMatrix, ErrorRateMatrix, MSEMatrix
from avalanche_hsf.experiments.learners import Problem, Setting
from avalanche_hsf.experiments.learners.forms import autoencoder
from avalanche_hsf.experiments.runs.networks import mlp

LATENT_DIM = 24
"""Latent width of autoencoders by default: the paper's."""


def autoencoding(
    name: str,
    make: Callable[[int], CLScenario],
    about: str,
    latent_dim: int = LATENT_DIM,
    **options: Any,
) -> Problem:
    """A problem of reconstructing the input, in full batches: the paper's kind."""
    full_batches = {"mb_size": None, "epochs": 300, "unit": "step", "shuffle": False}
    defaults = {**full_batches, "memory": 0, "memory_per_task": 50, "optimizers": ("AdamW", "SOAP")}
    fields = {"about": about, "latent_dim": latent_dim, **defaults, **options}
    return Problem(name, make, autoencoder, nn.MSELoss, MSEMatrix, **fields)


def network(
    name: str,
    make: Callable[[int], CLScenario],
    make_network: Callable[[Setting], nn.Module],
    criterion: Callable[[], nn.Module],
    **options: Any,
) -> Problem:
    """A problem of training a network in minibatches.

    The error is the share misclassified under the cross entropy, the MSE under the MSE, and the
    criterion itself under any other.
    """
    return Problem(name, make, make_network, **measured_by(criterion), **options)


def measured_by(criterion: Callable[[], nn.Module]) -> dict[str, Any]:
    """The fields of a `Problem` that follow from its loss."""
    loss = called("loss", criterion)
    matrix: Callable[[], ErrorMatrix]
    if isinstance(loss, nn.CrossEntropyLoss):
        matrix, measure = ErrorRateMatrix, "error rate"
    elif isinstance(loss, nn.MSELoss):
        matrix, measure = MSEMatrix, "MSE"
    elif callable(loss):
        matrix, measure = partial(ErrorMatrix, loss), getattr(loss, "__name__", type(loss).__name__)
    else:
        raise TypeError(
            "criterion must be a function that makes a loss, such as torch.nn.CrossEntropyLoss, "
            f"got one that returns {loss!r}"
        )
    fields = {"criterion": criterion, "matrix": matrix, "measure": measure}
    return {**fields, "classifies": isinstance(loss, nn.CrossEntropyLoss)}


def given(make: Callable[[], nn.Module], setting: Setting | None = None) -> nn.Module:
    """A user's network, which asks for nothing."""
    network = called("network", make)
    if not isinstance(network, nn.Module):
        raise TypeError(
            "the network must be a function that returns a torch nn.Module, got one that returns "
            f"{type(network).__name__}"
        )
    return network


def called(what: str, make: Callable[..., Any], *arguments: Any) -> Any:
    """What a user's function returns; ValueError, with its error in it, if it fails."""
    try:
        return make(*arguments)
    except Exception as error:
        name = getattr(make, "__qualname__", type(make).__name__)
        raise ValueError(
            f"the function {name} that makes the {what} failed: {type(error).__name__}: {error}"
        ) from error


def problem_of(name: str, make: Callable[[int], CLScenario]) -> Problem:
    """The problem of a user's stream, from its first training sample.

    Class targets are classified under the cross entropy; targets that equal the input are
    reconstructed by the paper's MLP autoencoder, other vectors regressed, both under the MSE. The
    network is otherwise an MLP with two hidden layers of 100.

    Args:
        name: In tables.
        make: The benchmark for a seed.

    Raises:
        TypeError, ValueError: `make` gives no Avalanche benchmark with train and test stream.
    """
    x, y = _first_sample(name, called("benchmark", make, 0))
    if not isinstance(y, Tensor) or not y.is_floating_point():
        return network(name, make, mlp, nn.CrossEntropyLoss)
    if y.shape != x.shape or not torch.equal(x, y):
        return network(name, make, mlp, nn.MSELoss)
    return network(name, make, autoencoder, nn.MSELoss, latent_dim=LATENT_DIM)


def _first_sample(name: str, benchmark: Any) -> tuple[Tensor, Any]:
    if not isinstance(benchmark, CLScenario):
        raise TypeError(
            f"{name} must give an Avalanche benchmark (a CLScenario), got "
            f"{type(benchmark).__name__}"
        )
    for stream in ("train_stream", "test_stream"):
        if not len(getattr(benchmark, stream, ())):
            raise ValueError(f"{name} must have a {stream} with at least one experience")
    try:
        item = benchmark.train_stream[0].dataset[0]
    except TypeError as error:
        raise ValueError(
            f"Avalanche cannot read the first sample of {name}: {error}; streams of vector targets "
            "are made by avalanche_hsf.benchmarks.regression_benchmark"
        ) from error
    if not isinstance(item[0], Tensor):
        raise TypeError(
            f"the inputs of {name} must be tensors, got {type(item[0]).__name__}; give the "
            "benchmark a transformation that makes them, as torchvision's ToTensor"
        )
    return item[0], item[1]


def setting_for(problem: Problem, benchmark: CLScenario, *, epochs: int, seed: int) -> Setting:
    """What a learner is built for, from the stream of one seed."""
    experiences = list(benchmark.train_stream)
    x, y = experiences[0].dataset[0][:2]
    output_dim = y.numel() if isinstance(y, Tensor) else 1
    if problem.classifies:
        targets = (experience.dataset.targets for experience in experiences)
        # Avalanche's targets know their classes, which saves a look at each of many samples.
        output_dim = 1 + max(int(c) for each in targets for c in getattr(each, "uniques", each))
    return Setting(
        problem=problem,
        input_shape=tuple(x.shape),
        output_dim=output_dim,
        n_tasks=len(experiences),
        n_samples=max(len(experience.dataset) for experience in experiences),
        epochs=epochs,
        seed=seed,
    )
