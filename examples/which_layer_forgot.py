"""Which layer of a plain MLP forgot: one line more in a script of Avalanche, and a page.

`Naive` on scikit-learn's digits, two classes a task. Open `forgetting.html` by a double click.
"""

import torch
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.forensics import ForensicsPlugin, give_verdict


def main(train_epochs: int = 10, report: str = "forgetting.html") -> dict[str, float]:
    """Returns each layer's share in the forgetting of the first task, in nats."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten())
    for n_in, n_out in ((64, 128), (128, 64), (64, 32)):
        model.extend([nn.Linear(n_in, n_out), nn.ReLU()])
    model.append(nn.Linear(32, 10))
    forensics = ForensicsPlugin(report)  # the line
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=train_epochs,
        plugins=[forensics],
        evaluator=None,
    )
    strategy.train(SplitDigits(5, seed=0).train_stream)
    found = forensics.findings()
    for task in found.tasks:
        print(give_verdict(task).sentence)
    return found.tasks[0].attribution.shapley


if __name__ == "__main__":
    main()
