"""The problems of this package by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from avalanche.benchmarks import CLScenario
from torch import nn

from avalanche_hsf.benchmarks import (
    PermutedMNIST,
    PolynomialRegression,
    RandomManifolds,
    SplitDigits,
    SplitFMNIST,
    SplitMNIST,
    SyntheticImages,
    SyntheticManifolds,
    as_reconstruction,
)
from avalanche_hsf.experiments.learners import Problem
from avalanche_hsf.experiments.runs.networks import (
    digits_cnn,
    image_cnn,
    permuted_mlp,
    sigmoid_mlp,
    split_mlp,
)
from avalanche_hsf.experiments.runs.problems import autoencoding, network


def _fixed(make: Callable[..., CLScenario], seed: int, **arguments: Any) -> CLScenario:
    return make(**arguments)


def _drawn(make: Callable[..., CLScenario], seed: int, **arguments: Any) -> CLScenario:
    return make(**arguments, seed=seed)


def _digits_to_reconstruct(seed: int) -> CLScenario:
    return as_reconstruction(SplitDigits(10, seed=seed))


_POLYNOMIALS: dict[str, Any] = {
    "make_network": sigmoid_mlp,
    "criterion": nn.MSELoss,
    "epochs": math.ceil(4001 / 3),  # of 3 full minibatches: the published 4,001 iterations
    "drop_last": True,
    "optimizers": ("AdamW", "SOAP"),
    "tuned_on": "polynomials-drawn",
}
_TEXTURES: dict[str, Any] = {
    "make_network": image_cnn,
    "criterion": nn.CrossEntropyLoss,
    "mb_size": 50,
    "epochs": 20,
    "tuned_on": "images-3",
}

VALIDATION = 0.1
"""Share of the training images on which configurations are chosen instead of the test images."""

_SPLIT: dict[str, Any] = {
    "make_network": split_mlp,
    "criterion": nn.CrossEntropyLoss,
    "mb_size": 128,
    "epochs": 21,  # of about 94 minibatches: the published 2,000 iterations
    "rates": {"AdamW": (1e-3,)},  # as published, for all alike
    "bytes_per_input": 1,
}
_PERMUTED: dict[str, Any] = {
    "make_network": permuted_mlp,
    "criterion": nn.CrossEntropyLoss,
    "mb_size": 128,
    "epochs": 11,  # of 469 minibatches: the published 5,000 iterations
    "rates": {"AdamW": (1e-3,)},
    "noise": 0.3,  # this and the decay chosen on validation images, with the task given
    "weight_decay": 0.1,
    "data": ("MNIST",),
    "bytes_per_input": 1,
}
SPLIT_BYTES = {"memory_bytes": 5_995_100, "more_memory_bytes": 26_217_820}
PERMUTED_BYTES = {"memory_bytes": 14_729_910, "more_memory_bytes": 122_434_552}
"""What `ids-hsf-compact` and `ids-hsf` keep in the end where no task is told: replay may keep as
much."""


def _with_validation(
    name: str, make: Callable[..., CLScenario], about: str, **fields: Any
) -> tuple[Problem, Problem]:
    """A problem, and one on a part of its training images on which it is tuned."""
    tuned_on = f"{name}-validation"
    held = partial(make, validation=VALIDATION)
    return (
        network(name, make, about=about, tuned_on=tuned_on, **fields),
        network(tuned_on, held, about=f"to tune on: {name} without its test images", **fields),
    )


_CURVES = partial(_fixed, SyntheticManifolds)
_PROBLEMS = (
    autoencoding("synthetic", _CURVES, "the paper's five curves, latent width 24"),
    autoencoding(
        "bottleneck", _CURVES, "the paper's curves through a latent of width 2: tasks conflict", 2
    ),
    autoencoding(
        "random-5", partial(_drawn, RandomManifolds, n_experiences=5), "five random curves per seed"
    ),
    autoencoding(
        "random-20",
        partial(_drawn, RandomManifolds, n_experiences=20),
        "twenty random curves per seed",
        tuned_on="random-5",
    ),
    autoencoding(
        "digits",
        _digits_to_reconstruct,
        "scikit-learn's digits, a class per task, in another order with each seed",
        few_samples=True,
    ),
    network(
        "polynomials",
        partial(_fixed, PolynomialRegression),
        about="the three regressions of von Oswald et al. 2020, on their very points",
        **_POLYNOMIALS,
    ),
    network(
        "polynomials-drawn",
        partial(_drawn, PolynomialRegression),
        about="the same on other points with each seed",
        **_POLYNOMIALS,
    ),
    network(
        "split-digits",
        partial(_drawn, SplitDigits, n_experiences=5),
        digits_cnn,
        nn.CrossEntropyLoss,
        about="two classes of digits per task and a CNN, in another order with each seed",
        epochs=30,
    ),
    *(
        network(
            f"images-{n}",
            partial(_drawn, SyntheticImages, n_experiences=n, n_train=300),
            about=f"{number} tasks of ten textures and a CNN",
            **_TEXTURES,
        )
        for n, number in ((3, "three"), (10, "ten"))
    ),
    *(
        problem
        for name, make, data, noise in (
            ("split-mnist", SplitMNIST, "MNIST", 0.3),
            ("split-fashion-mnist", SplitFMNIST, "FashionMNIST", 0.0),
        )
        for suffix, told, given in (
            ("", True, "the task given"),
            ("-class", False, "no task given: class-incremental"),
        )
        for problem in _with_validation(
            f"{name}{suffix}",
            partial(_fixed, make, shuffle=False, return_task_id=told),
            f"{data}, classes 0 and 1, then 2 and 3, ..., an MLP, {given}",
            told=told,
            **({} if told else SPLIT_BYTES),
            data=(data,),
            noise=noise,  # chosen on validation images, with the task given
            **_SPLIT,
        )
    ),
    *(
        problem
        for suffix, told, given in (
            ("", True, "the task given"),
            ("-domain", False, "no task given: domain-incremental"),
        )
        for problem in _with_validation(
            f"permuted-mnist-10{suffix}",
            partial(_drawn, PermutedMNIST, padding=2, return_task_id=told),
            f"MNIST in ten orders of its pixels, others with each seed, an MLP, {given}",
            told=told,
            **({} if told else PERMUTED_BYTES),
            **_PERMUTED,
        )
    ),
)

BENCHMARKS: dict[str, Problem] = {problem.name: problem for problem in _PROBLEMS}
"""Problems by name; those of images have held-out tests. See `Problem.about`."""
