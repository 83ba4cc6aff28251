"""Permuted MNIST, ten orders of the pixels: Avalanche's MLP with weights for each task.

python examples/permuted_mnist.py --dataset-root DIR [--download] [--train-epochs 2]

MNIST's four files are looked for in DIR/MNIST/raw, where torchvision puts them. The classes of all
tasks are the ten digits; a task is known by its label alone.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _image_stream import command_line, find_files, train
from avalanche.benchmarks.classic import PermutedMNIST
from avalanche.models import SimpleMLP
from torchvision.datasets import MNIST


def main(
    dataset_root: str | Path | None = None,
    *,
    n_experiences: int = 10,
    train_epochs: int = 2,
    download: bool = False,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Returns Avalanche's metrics after each task."""
    torch.manual_seed(seed)
    root = find_files(MNIST, dataset_root, download=download)
    benchmark = PermutedMNIST(
        n_experiences,
        return_task_id=True,  # by default all permutations are labelled 0: one task to the model
        seed=seed,
        dataset_root=root,
    )
    network = SimpleMLP(num_classes=10)
    return train(benchmark, network, train_epochs=train_epochs, seed=seed)


if __name__ == "__main__":
    main(**command_line(__doc__))
