"""The streams that learners are run on, by the name they have in results files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from avalanche.benchmarks import CLScenario

from avalanche_hsf.benchmarks import (
    RandomManifolds,
    SplitDigits,
    SyntheticManifolds,
    as_reconstruction,
)


@dataclass(frozen=True)
class Stream:
    """A benchmark and the width that models have on it.

    Attributes:
        make: The benchmark for a seed; some do not depend on it.
        latent_dim: Width of the latent of every model.
        tuned_on: Name of the stream on which configurations are chosen.
        few_samples: Whether learners overfit, so that `REGULARIZED` is worth a try.
    """

    make: Callable[[int], CLScenario]
    latent_dim: int
    tuned_on: str
    few_samples: bool = False


BENCHMARKS: dict[str, Stream] = {
    "synthetic": Stream(lambda seed: SyntheticManifolds(), 24, "synthetic"),
    "bottleneck": Stream(lambda seed: SyntheticManifolds(), 2, "bottleneck"),
    "random-5": Stream(lambda seed: RandomManifolds(5, seed=seed), 24, "random-5"),
    "random-20": Stream(lambda seed: RandomManifolds(20, seed=seed), 24, "random-5"),
    "digits": Stream(
        lambda seed: as_reconstruction(SplitDigits(10, seed=seed)), 24, "digits", few_samples=True
    ),
}
"""synthetic: the paper's five tasks; bottleneck: the same through a latent of width 2, where the
identity map is impossible and tasks conflict; random-n: n random curves, others with each seed;
digits: scikit-learn's images class by class, in another order with each seed, held-out test."""
