"""Split MNIST, five tasks of two digits: Avalanche's MLP with weights for each task.

python examples/split_mnist.py --dataset-root DIR [--download] [--train-epochs 3]

MNIST's four files are looked for in DIR/MNIST/raw, where torchvision puts them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _image_stream import command_line, find_files, train
from avalanche.benchmarks.classic import SplitMNIST
from avalanche.models import SimpleMLP
from torchvision.datasets import MNIST


def main(
    dataset_root: str | Path | None = None,
    *,
    n_experiences: int = 5,
    train_epochs: int = 3,
    download: bool = False,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Returns Avalanche's metrics after each task."""
    torch.manual_seed(seed)
    root = find_files(MNIST, dataset_root, download=download)
    benchmark = SplitMNIST(
        n_experiences,
        return_task_id=True,  # by default all tasks are labelled 0: one task to the model
        class_ids_from_zero_in_each_exp=True,  # a head of its own for each task
        seed=seed,
        dataset_root=root,
    )
    network = SimpleMLP(num_classes=10 // n_experiences)
    return train(benchmark, network, train_epochs=train_epochs, seed=seed)


if __name__ == "__main__":
    main(**command_line(__doc__))
