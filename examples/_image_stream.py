"""What the examples on image data sets share: the files, a network, the training."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path
from typing import Any

import torch
from avalanche.benchmarks.datasets import default_dataset_location
from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics, loss_metrics
from avalanche.logging import InteractiveLogger
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torchvision.datasets import CIFAR10, MNIST

from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import get_preset, make_protections


def train(
    benchmark: Any, network: nn.Module, *, train_epochs: int, seed: int
) -> list[dict[str, float]]:
    """Trains the network with a set of weights for each task; evaluates after each task.

    Returns:
        Avalanche's metrics after each task, on the test data of the tasks so far.
    """
    preset = get_preset("isolated")
    model = TaskConditional(network, **preset.hypernetwork, seed=seed)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=train_epochs,
        eval_mb_size=256,
        plugins=make_protections(preset.protections),
        evaluator=EvaluationPlugin(
            accuracy_metrics(experience=True, stream=True),
            forgetting_metrics(experience=True, stream=True),
            loss_metrics(experience=True),
            loggers=[InteractiveLogger()],
        ),
    )
    results = []
    for n_seen, experience in enumerate(benchmark.train_stream, start=1):
        strategy.train(experience)
        results.append(strategy.eval(benchmark.test_stream[:n_seen]))
    return results


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
    """The folder to hand to Avalanche, which then has nothing to download.

    Avalanche's benchmark functions always download what they do not find. So torchvision is asked
    first, which downloads only if told to.

    Args:
        dataset: Whose files; Avalanche reads those of torchvision.
        dataset_root: None for the folder that Avalanche uses by itself.
        download: Fetch what is missing; unpack archives that are there already.

    Raises:
        SystemExit: There are no such files, or they cannot be read or fetched; it says which are
            needed, where, and how to get them.
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
        archives = [name for name, _ in dataset.resources]
        folder = archive_folder = root / "MNIST" / "raw"
        files = [name.removesuffix(".gz") for name in archives]
        urls = [dataset.mirrors[0] + name for name in archives]
    else:
        folder, archive_folder = root / dataset.base_folder, root
        files = [name for name, _ in [*dataset.train_list, *dataset.test_list]]
        files.append(dataset.meta["filename"])
        urls = [dataset.url]
    return "\n".join(
        [
            f"The {dataset.__name__} files are not there or cannot be used. torchvision says:",
            f"  {str(error) or type(error).__name__}",
            f"Needed in {folder}:",
            *(f"  {name}" for name in files),
            "To get them, run this again with --download: torchvision then fetches and unpacks",
            *(f"  {url}" for url in urls),
            f"Without network, put these archives into {archive_folder}",
            "and run with --download: they are unpacked and nothing is fetched.",
            f"If files are damaged, delete {folder} first.",
            "If they are elsewhere, say so with --dataset-root.",
        ]
    )


def command_line(doc: str) -> dict[str, Any]:
    """Arguments of an example's `main`; those that are not given are left to its defaults."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset-root", type=Path, help="default: Avalanche's own folder")
    parser.add_argument("--download", action="store_true", help="fetch files that are missing")
    parser.add_argument("--n-experiences", type=int, help="tasks of the stream")
    parser.add_argument("--train-epochs", type=int, help="epochs a task")
    parser.add_argument("--seed", type=int, help="of classes, permutations and weights")
    given = vars(parser.parse_args())
    return {name: value for name, value in given.items() if value is not None}
