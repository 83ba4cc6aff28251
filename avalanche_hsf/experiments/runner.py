"""From a learner's name to a finished run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from avalanche.benchmarks import CLScenario
from avalanche.core import SupervisedPlugin
from avalanche.logging import BaseLogger
from avalanche.training import Naive
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.optim import AdamW
from tqdm import tqdm

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.evaluation import MSEMatrix
from avalanche_hsf.experiments.results import Run
from avalanche_hsf.models import MLPAutoencoder
from avalanche_hsf.training import HSFStrategy

BENCHMARKS: dict[str, Callable[[], CLScenario]] = {"synthetic": SyntheticManifolds}
"""Streams by the name they have in results files."""


def _mlp_naive(input_dim: int, seed: int, **common: Any) -> Naive:
    model = MLPAutoencoder(input_dim)
    return Naive(
        model=model,
        optimizer=AdamW(model.parameters(), lr=5e-4),
        criterion=nn.MSELoss(),
        train_mb_size=300,
        **common,
    )


def _hsf_paper(input_dim: int, seed: int, **common: Any) -> HSFStrategy:
    return HSFStrategy.from_preset("paper", input_dim=input_dim, seed=seed, **common)


STRATEGIES: dict[str, Callable[..., Any]] = {"mlp-naive": _mlp_naive, "hsf-paper": _hsf_paper}
"""Learners by the name they have in results files."""


def run(benchmark: str, strategy: str, *, seed: int, epochs: int, progress: bool = True) -> Run:
    """Trains one learner on one stream, evaluating the whole test stream after each experience.

    Every global generator is seeded with `seed` before the model is made.

    Args:
        benchmark: A name in `BENCHMARKS`.
        strategy: A name in `STRATEGIES`.
        seed: At least 0.
        epochs: Epochs an experience, at least 1.
        progress: Show a progress bar on standard error.

    Returns:
        The run with its matrix R. Bit-identical when repeated on the same machine.
    """
    stream = BENCHMARKS[benchmark]()
    n_epochs = epochs * len(stream.train_stream)
    RNGManager.set_random_seeds(seed)
    matrix = MSEMatrix()
    input_dim = stream.train_stream[0].dataset[0][0].numel()
    start = time.perf_counter()
    with tqdm(
        total=n_epochs, desc=f"{strategy}, seed {seed}", unit="epoch", disable=not progress
    ) as bar:
        learner = STRATEGIES[strategy](
            input_dim,
            seed,
            train_epochs=epochs,
            eval_mb_size=1024,
            evaluator=EvaluationPlugin(matrix, loggers=[_Silent()]),
            plugins=[_Progress(bar)],
        )
        for experience in stream.train_stream:
            learner.train(experience, shuffle=False)
            learner.eval(stream.test_stream)
    return Run.from_matrix(
        matrix.result(),
        benchmark=benchmark,
        strategy=strategy,
        seed=seed,
        epochs=epochs,
        seconds=time.perf_counter() - start,
        n_parameters=sum(p.numel() for p in learner.model.parameters() if p.requires_grad),
    )


class _Progress(SupervisedPlugin):
    """One step of a progress bar per training epoch, with the task and the loss."""

    def __init__(self, bar: tqdm) -> None:
        super().__init__()
        self._bar = bar

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self._bar.update()
        if strategy.clock.train_exp_epochs % 10 == 0:
            task = f"T{strategy.experience.current_experience}"
            self._bar.set_postfix(task=task, loss=f"{float(strategy.loss.detach()):.3g}")


class _Silent(BaseLogger):
    """Avalanche warns when it has no logger; these runs keep their numbers themselves."""

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        """Does nothing."""
