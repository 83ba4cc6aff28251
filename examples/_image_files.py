"""What `real_images.py` needs besides: the files, the streams and their networks."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import Any

from avalanche.benchmarks.classic import PermutedMNIST, SplitCIFAR10, SplitCIFAR100, SplitMNIST
from avalanche.benchmarks.datasets import default_dataset_location
from avalanche.models import SimpleMLP
from torch import nn
from torchvision.datasets import CIFAR10, CIFAR100, MNIST

OWN_HEAD = {"class_ids_from_zero_in_each_exp": True}
STREAMS: dict[str, tuple[Any, Any, int, int, dict[str, bool]]] = {
    "split-mnist": (MNIST, SplitMNIST, 5, 2, OWN_HEAD),
    "permuted-mnist": (MNIST, PermutedMNIST, 10, 10, {}),
    "split-cifar10": (CIFAR10, SplitCIFAR10, 5, 2, OWN_HEAD),
    "split-cifar100": (CIFAR100, SplitCIFAR100, 20, 5, OWN_HEAD),
}
"""Whose files, Avalanche's stream, its tasks, classes in each, and further options."""


def make(
    name: str, dataset_root: str | Path | None = None, *, download: bool = False
) -> tuple[Any, nn.Module]:
    """A stream by a name in `STREAMS`, and a network for one of its tasks; see `find_files`."""
    dataset, stream, n_tasks, n_classes, options = STREAMS[name]
    root = find_files(dataset, dataset_root, download=download)
    # By default Avalanche labels all tasks 0, which is one task to the model.
    benchmark = stream(n_tasks, return_task_id=True, seed=0, dataset_root=root, **options)
    return benchmark, (SimpleMLP if dataset is MNIST else small_cnn)(n_classes)


def small_cnn(n_classes: int) -> nn.Module:
    """For images of 3 x 32 x 32."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1024, 72), nn.ReLU(), nn.Linear(72, n_classes)),
    )


def find_files(
    dataset: type[MNIST] | type[CIFAR10], dataset_root: str | Path | None, *, download: bool
) -> Path:
    """The folder to hand to Avalanche, which would download what is missing without being asked.

    Args:
        dataset: Whose files; Avalanche reads those of torchvision.
        dataset_root: None for the folder that Avalanche uses by itself.
        download: Fetch what is missing; unpack archives that are there already.

    Raises:
        SystemExit: There are no such files, or they cannot be read or fetched.
    """
    root = Path(dataset_root or default_dataset_location(dataset.__name__.lower())).expanduser()
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(30)  # torchvision sets none and would wait for ever
        for train in (True, False):
            dataset(str(root), train=train, download=download)
    except Exception as error:  # of many kinds, for an unreadable file an AssertionError
        raise SystemExit(_how_to_get(dataset, root, error)) from None
    finally:
        socket.setdefaulttimeout(timeout)
    return root


def _how_to_get(dataset: type[MNIST] | type[CIFAR10], root: Path, error: Exception) -> str:
    if issubclass(dataset, MNIST):
        folder = archive_folder = root / "MNIST" / "raw"
        urls = [dataset.mirrors[0] + name for name, _ in dataset.resources]
    else:
        folder, archive_folder = root / dataset.base_folder, root
        urls = [dataset.url]
    return "\n".join(
        [
            f"{dataset.__name__} is not in {folder}, or cannot be used. torchvision says:",
            f"  {str(error) or type(error).__name__}",
            "Run this again with --download, or with --dataset-root if it is elsewhere.",
            f"Without network put these into {archive_folder} first; nothing is fetched then:",
            *(f"  {url}" for url in urls),
            f"If files are damaged, delete {folder} first.",
        ]
    )


def command_line(doc: str) -> dict[str, Any]:
    """Arguments of `main`; those that are not given are left to its defaults."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(STREAMS))
    parser.add_argument("--dataset-root", type=Path, help="default: Avalanche's own folder")
    parser.add_argument("--download", action="store_true", help="fetch files that are missing")
    parser.add_argument("--train-epochs", type=int, help="per task")
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
