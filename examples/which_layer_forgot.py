"""Which layer of a plain MLP forgot: `Naive` on scikit-learn's digits, two classes a task."""

import torch
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.analysis import ModelRecorderPlugin, attribute_run
from avalanche_hsf.benchmarks import SplitDigits


def main(train_epochs: int = 10) -> dict[str, float]:
    """Returns each layer's share of the forgetting of the first task, in nats of cross entropy."""
    torch.manual_seed(0)
    benchmark, recorder = SplitDigits(5, seed=0), ModelRecorderPlugin()
    layers = [nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    options = {"train_mb_size": 32, "train_epochs": train_epochs, "evaluator": None}
    strategy = Naive(model=model, optimizer=optimizer, plugins=[recorder], **options)
    strategy.train(benchmark.train_stream)
    found = attribute_run(recorder, benchmark.test_stream)
    for task, of_task in enumerate(found):
        shares = ", ".join(f"layer {name} {share:+.2f}" for name, share in of_task.shapley.items())
        print(f"task {task} forgot {of_task.forgetting:+.2f} nats: {shares}")
    return found[0].shapley


if __name__ == "__main__":
    main()
