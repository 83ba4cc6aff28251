"""Which layer of a plain MLP forgot: attribution of forgetting on an ordinary Avalanche run.

    python examples/which_layer_forgot.py [--train-epochs 10]

No hypernetwork, no protection: `Naive` with an MLP on scikit-learn's digits, two classes a task.
The plugin keeps the model after each experience; the analysis puts layers back, alone and in all
combinations, and shares the forgetting out among them.
"""

from __future__ import annotations

import argparse

import torch
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.analysis import ModelRecorderPlugin, attribute_run
from avalanche_hsf.benchmarks import SplitDigits


def main(train_epochs: int = 10) -> dict[str, float]:
    """Returns each layer's share of the forgetting of the first task, in nats of cross entropy."""
    torch.manual_seed(0)
    benchmark = SplitDigits(5, seed=0)
    model = nn.Sequential(
        *(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()),
        nn.Linear(32, 10),
    )
    recorder = ModelRecorderPlugin()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    strategy = Naive(
        model=model,
        optimizer=optimizer,
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=train_epochs,
        plugins=[recorder],
        evaluator=None,
    )
    strategy.train(benchmark.train_stream)
    for task, found in enumerate(attribute_run(recorder, benchmark.test_stream)):
        shares = ", ".join(f"layer {name} {share:+.2f}" for name, share in found.shapley.items())
        print(f"task {task} forgot {found.forgetting:+.2f}: {shares}")
    return attribute_run(recorder, benchmark.test_stream)[0].shapley


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train-epochs", type=int, default=10)
    main(parser.parse_args().train_epochs)
