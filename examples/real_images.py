"""Split MNIST, Permuted MNIST, Split CIFAR-10 and -100: weights for each task, nothing forgotten.

    python examples/real_images.py split-mnist --dataset-root DIR [--download] [--train-epochs 2]

Without the files it says how to get them. Split MNIST, one epoch, 13 minutes on a busy core:

    Top1_Acc, %, test stream
          task   just learned         now   forgotten
             0          99.91       99.91       +0.00
             4          98.94       98.94           -
          mean          99.23       99.23       +0.00
"""

from __future__ import annotations

from pathlib import Path

import torch
from _image_files import command_line, make
from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics, loss_metrics
from avalanche.training import Naive

from avalanche_hsf.evaluation import quiet_evaluator, summary
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import get_preset, make_protections


def main(
    name: str, dataset_root: Path | None = None, *, train_epochs: int = 2, download: bool = False
) -> list[dict[str, float]]:
    """Returns Avalanche's metrics after each task, on the test data of the tasks so far."""
    torch.manual_seed(0)
    benchmark, network = make(name, dataset_root, download=download)
    preset = get_preset("isolated")
    model = TaskConditional(network, **preset.hypernetwork, seed=0)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=train_epochs,
        eval_mb_size=256,
        plugins=make_protections(preset.protections),
        evaluator=quiet_evaluator(
            accuracy_metrics(experience=True),
            loss_metrics(experience=True),
            forgetting_metrics(stream=True),
        ),
    )
    results = []
    for n_seen, experience in enumerate(benchmark.train_stream, start=1):
        strategy.train(experience)
        results.append(strategy.eval(benchmark.test_stream[:n_seen]))
    print(summary(strategy))
    return results


if __name__ == "__main__":
    main(**command_line(__doc__))
