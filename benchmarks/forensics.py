"""What it costs to watch a run, and to attribute its forgetting.

    python benchmarks/forensics.py [--blocks 7] [--out measured/speed]

Strategies that differ in what watches them train in turn in one process. Three runs: an MLP under
Naive on scikit-learn's digits, minibatches of 32; the paper's network with minibatches of 30, ten
an epoch; and the paper's own setting, where an epoch is one step, so that measuring once an epoch
is measuring at every step.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import torch
from avalanche.logging import TensorboardLogger
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from timing import Ratio, in_turn, over_blocks, ratio, report
from torch import nn

from avalanche_hsf.analysis import (
    Drift,
    GradientConflict,
    LossTerms,
    ModelRecorderPlugin,
    attribute_run,
)
from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds
from avalanche_hsf.evaluation import MSEMatrix
from avalanche_hsf.experiments.commands.diagnose import components_of
from avalanche_hsf.training import HSFStrategy

Make = Callable[..., Any]


def digits_mlp(**watched: Any) -> Any:
    """An MLP of three layers under Naive."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()),
        nn.Linear(256, 10),
    )
    return Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        **watched,
    )


def paper(mb_size: int) -> Make:
    """The paper's network and loss, with minibatches of that size."""

    def make(**watched: Any) -> HSFStrategy:
        torch.manual_seed(0)
        return HSFStrategy.from_preset(
            "paper", input_dim=3, seed=0, train_mb_size=mb_size, **watched
        )

    return make


def watching(make: Make, stream: Any, epochs: int, blocks: int, title: str) -> list[Ratio]:
    """Ratios of a run that is watched to one that is not, in the second experience."""
    folder = "/tmp/avalanche-hsf-benchmark"
    watchers: dict[str, Callable[[], list[Any]]] = {
        "nothing": lambda: [],
        "Drift": lambda: [Drift()],
        "LossTerms": lambda: [LossTerms()],
        "LossTerms, every=10": lambda: [LossTerms(every=10)],
        "GradientConflict, every=10": lambda: [GradientConflict(stream, every=10)],
    }

    def one(name: str) -> Callable[[], None]:
        metrics = watchers[name]()
        loggers = [TensorboardLogger(folder)] if metrics else []
        # An evaluator without metrics costs a little of its own.
        evaluator = EvaluationPlugin(*(metrics or [MSEMatrix()]), loggers=loggers)
        plugins = [ModelRecorderPlugin()] if name == "ModelRecorderPlugin" else []
        strategy = make(train_epochs=1, evaluator=evaluator, plugins=plugins)
        strategy.train(stream[0])
        strategy.train_epochs = epochs
        return lambda: strategy.train(stream[1])

    watchers["ModelRecorderPlugin"] = lambda: []
    seconds = in_turn({name: one(name) for name in watchers}, blocks=blocks)
    return [
        ratio(seconds, name, "nothing", name=f"{title}: {name}", goal="<= 1.10")
        for name in watchers
        if name != "nothing"
    ]


def attribution_seconds(epochs: int = 3) -> dict[str, float]:
    """Seconds to attribute what a run of five tasks forgot, by component."""
    seconds = {}
    for name, make, benchmark in (
        ("paper, 8 components", paper(300), SyntheticManifolds()),
        ("digits MLP, 3 components", digits_mlp, SplitDigits(5, seed=0)),
    ):
        recorder = ModelRecorderPlugin()
        strategy = make(train_epochs=epochs, evaluator=None, plugins=[recorder])
        for experience in benchmark.train_stream:
            strategy.train(experience)
        components = components_of(recorder.model_after(0))
        start = time.perf_counter()
        attribute_run(recorder, benchmark.test_stream, components=components)
        seconds[name] = time.perf_counter() - start
    return seconds


def main(blocks: int = 7, out: str | None = None) -> list[Ratio]:
    """Prints the table and returns its rows."""
    torch.set_num_threads(1)
    digits, curves = SplitDigits(5, seed=0).train_stream, SyntheticManifolds().train_stream
    rows = [
        *watching(digits_mlp, digits, 20, blocks, "digits MLP, 12 steps an epoch"),
        *watching(paper(30), curves, 10, blocks, "paper, 10 steps an epoch"),
        *watching(paper(300), curves, 50, blocks, "paper, 1 step an epoch"),
    ]
    for name, seconds in attribution_seconds().items():
        title = f"attribution of 5 tasks, {name}: seconds"
        rows.append(over_blocks(title, [seconds], unit="seconds", goal="< 60"))
    report(rows, out, "forensics")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--out")
    options = parser.parse_args()
    main(options.blocks, options.out)
