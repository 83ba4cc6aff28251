"""Split CIFAR-10, five tasks of two classes: a small CNN with weights for each task.

python examples/split_cifar10.py --dataset-root DIR [--download] [--train-epochs 10]

The files are looked for in DIR/cifar-10-batches-py, where torchvision puts them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _image_stream import command_line, find_files, small_cnn, train
from avalanche.benchmarks.classic import SplitCIFAR10
from torchvision.datasets import CIFAR10


def main(
    dataset_root: str | Path | None = None,
    *,
    n_experiences: int = 5,
    train_epochs: int = 10,
    download: bool = False,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Returns Avalanche's metrics after each task."""
    torch.manual_seed(seed)
    root = find_files(CIFAR10, dataset_root, download=download)
    benchmark = SplitCIFAR10(
        n_experiences,
        return_task_id=True,  # by default all tasks are labelled 0: one task to the model
        class_ids_from_zero_in_each_exp=True,  # a head of its own for each task
        seed=seed,
        dataset_root=root,
    )
    network = small_cnn(10 // n_experiences)
    return train(benchmark, network, train_epochs=train_epochs, seed=seed)


if __name__ == "__main__":
    main(**command_line(__doc__))
