"""The streams that learners are run on, by the name they have in results files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from avalanche.benchmarks import CLScenario
from torch import nn

from avalanche_hsf.benchmarks import (
    PolynomialRegression,
    RandomManifolds,
    SplitDigits,
    SyntheticImages,
    SyntheticManifolds,
    as_reconstruction,
)
from avalanche_hsf.experiments.learners.base import MainNetwork


@dataclass(frozen=True)
class Stream:
    """A benchmark and what learners train on it: an autoencoder, or a main network.

    Attributes:
        make: The benchmark for a seed; some do not depend on it.
        latent_dim: Width of the latent of every autoencoder.
        tuned_on: Name of the stream on which configurations are chosen.
        few_samples: Whether learners overfit, so that `REGULARIZED` is worth a try.
        main: The network that learners train on it; None: autoencoders.
    """

    make: Callable[[int], CLScenario]
    latent_dim: int
    tuned_on: str
    few_samples: bool = False
    main: MainNetwork | None = None

    @property
    def measure(self) -> str:
        """What errors on it are."""
        return "error rate" if self.main is not None and self.main.classifies else "MSE"


def _sigmoid_mlp() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            hidden_1=nn.Linear(1, 10),
            sigmoid_1=nn.Sigmoid(),
            hidden_2=nn.Linear(10, 10),
            sigmoid_2=nn.Sigmoid(),
            classifier=nn.Linear(10, 1),
        )
    )


def _digits_cnn() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            convolution_1=nn.Conv2d(1, 16, 3, padding=1),
            relu_1=nn.ReLU(),
            pool=nn.MaxPool2d(2),
            convolution_2=nn.Conv2d(16, 32, 3, padding=1),
            relu_2=nn.ReLU(),
            flatten=nn.Flatten(),
            classifier=nn.Linear(512, 10),
        )
    )


def _image_cnn() -> nn.Module:
    """3 x 32 x 32 to ten classes, 98,114 parameters."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (n_in, n_out) in enumerate(((3, 16), (16, 32), (32, 64))):
        blocks[f"convolution_{k}"] = nn.Conv2d(n_in, n_out, 3, padding=1)
        blocks[f"relu_{k}"] = nn.ReLU()
        blocks[f"pool_{k}"] = nn.MaxPool2d(2)
    blocks["flatten"] = nn.Flatten()
    blocks["hidden"] = nn.Linear(1024, 72)
    blocks["relu"] = nn.ReLU()
    blocks["classifier"] = nn.Linear(72, 10)
    return nn.Sequential(blocks)


def _polynomials(make: Callable[[int], CLScenario]) -> Stream:
    return Stream(
        make,
        1,
        "polynomials-drawn",
        main=MainNetwork(
            _sigmoid_mlp,
            nn.MSELoss,
            mb_size=32,
            epochs=1334,  # of 3 full minibatches: the published 4,001 iterations
            classifies=False,
            drop_last=True,
            optimizers=("AdamW", "SOAP"),
        ),
    )


def _images(n: int) -> Stream:
    return Stream(
        lambda seed: SyntheticImages(n, n_train=300, seed=seed),
        1,
        "images-3",
        main=MainNetwork(_image_cnn, nn.CrossEntropyLoss, mb_size=50, epochs=20, classifies=True),
    )


BENCHMARKS: dict[str, Stream] = {
    "synthetic": Stream(lambda seed: SyntheticManifolds(), 24, "synthetic"),
    "bottleneck": Stream(lambda seed: SyntheticManifolds(), 2, "bottleneck"),
    "random-5": Stream(lambda seed: RandomManifolds(5, seed=seed), 24, "random-5"),
    "random-20": Stream(lambda seed: RandomManifolds(20, seed=seed), 24, "random-5"),
    "digits": Stream(
        lambda seed: as_reconstruction(SplitDigits(10, seed=seed)), 24, "digits", few_samples=True
    ),
    "polynomials": _polynomials(lambda seed: PolynomialRegression()),
    "polynomials-drawn": _polynomials(lambda seed: PolynomialRegression(seed=seed)),
    "split-digits": Stream(
        lambda seed: SplitDigits(5, seed=seed),
        1,
        "split-digits",
        main=MainNetwork(_digits_cnn, nn.CrossEntropyLoss, mb_size=32, epochs=30, classifies=True),
    ),
    "images-3": _images(3),
    "images-10": _images(10),
}
"""synthetic: the paper's five tasks; bottleneck: the same through a latent of width 2, where the
identity map is impossible and tasks conflict; random-n: n random curves, others with each seed;
digits: scikit-learn's images class by class, in another order with each seed, held-out test.

For main networks: polynomials, the regression of von Oswald et al. 2020 on their very points, and
polynomials-drawn, on others with each seed; split-digits, two classes
of digits a task, in another order with each seed, held-out test; images-n: n tasks of ten textures
each, others with each seed, and a CNN of some 100,000 parameters."""
