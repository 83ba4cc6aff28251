"""Split CIFAR-100, twenty tasks of five classes: a small CNN with weights for each task.

python examples/split_cifar100.py --dataset-root DIR [--download] [--train-epochs 20]

The files are looked for in DIR/cifar-100-python, where torchvision puts them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _image_stream import command_line, find_files, small_cnn, train
from avalanche.benchmarks.classic import SplitCIFAR100
from torchvision.datasets import CIFAR100


def main(
    dataset_root: str | Path | None = None,
    *,
    n_experiences: int = 20,
    train_epochs: int = 20,
    download: bool = False,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Returns Avalanche's metrics after each task."""
    torch.manual_seed(seed)
    root = find_files(CIFAR100, dataset_root, download=download)
    benchmark = SplitCIFAR100(
        n_experiences,
        return_task_id=True,  # by default all tasks are labelled 0: one task to the model
        class_ids_from_zero_in_each_exp=True,  # a head of its own for each task
        seed=seed,
        dataset_root=root,
    )
    network = small_cnn(100 // n_experiences)
    return train(benchmark, network, train_epochs=train_epochs, seed=seed)


if __name__ == "__main__":
    main(**command_line(__doc__))
