"""Minibatches cut from tensors instead of collected sample by sample.

Avalanche's loaders fetch samples one by one, through several layers of dataset, and stack them
again: 300 calls for one full batch of the paper's stream, every epoch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_loader import MultiDatasetDataLoader
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, default_collate

from avalanche_hsf._private.avalanche import epoch_loader
from avalanche_hsf.training.loading.places import is_avalanches
from avalanche_hsf.training.loading.rows import Rows, rows_of, taken

MAX_BYTES = 256 * 2**20


def in_memory(loader: Any, *, max_bytes: int = MAX_BYTES) -> Any:
    """A loader that yields the same minibatches in the same order, faster.

    The samplers of the given loader set the order and draw the same random numbers as before. It
    is replaced where that is exact: an Avalanche loader (of one dataset, balanced over tasks or
    groups, with replay) without worker processes and with no collate function, over samples of one
    shape and type from

    - tensors: a `TensorDataset`, Avalanche's `tensors_benchmark`, or `PermutedPixels`;
    - torchvision's MNIST, FashionMNIST, KMNIST, EMNIST, QMNIST, CIFAR10 and CIFAR100, and
      Avalanche's MNIST;

    with no transformation but those of torchvision that draw nothing and treat each pixel by itself
    (`ToTensor`, `PILToTensor`, `ConvertImageDtype`, `Normalize`, their like in v2, and `Compose` of
    them), Avalanche's permutation of pixels and its numbering of classes. Otherwise it comes back
    as it is. Samples that come from several arrays are copied into one if that takes at most
    `max_bytes`; all others are read, and transformed, a minibatch at a time.
    """
    eligible = (
        isinstance(loader, MultiDatasetDataLoader)
        and is_avalanches(loader)
        and not loader.distributed_sampling
        and loader.loader_kwargs.get("num_workers", 0) == 0
        and loader.loader_kwargs["collate_fn"] is default_collate
    )
    rows = rows_of(loader.datasets) if eligible else None
    return loader if rows is None else _InMemoryLoader(loader, rows.held(max_bytes))


class _InMemoryLoader:
    def __init__(self, loader: MultiDatasetDataLoader, rows: Rows) -> None:
        self._loader = loader
        # Its samplers draw when an iteration starts and keep nothing, so one serves all epochs.
        stock = epoch_loader(loader)
        self._batches: DataLoader = DataLoader(
            _Samples(rows),
            batch_sampler=stock.batch_sampler,
            collate_fn=list,
            pin_memory=stock.pin_memory,
            generator=stock.generator,
        )

    def __iter__(self) -> Iterator[list[Tensor]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._loader)


class _Samples(Dataset[Any]):
    """Torch's loader asks for a whole batch at once where a dataset has `__getitems__`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        return self._rows[torch.tensor(indices)]


def collected(dataset: AvalancheDataset, rows: Sequence[int]) -> Any:
    """Samples as the dataset's collate function puts them together; at once where that is exact."""
    columns = taken(dataset, rows) if dataset.collate_fn is default_collate else None
    return columns or dataset.collate_fn([dataset[i] for i in rows])


def in_order(dataset: AvalancheDataset, mb_size: int) -> DataLoader:
    """Minibatches of a dataset, as torch's loader collects them; from memory where that is exact.

    It draws the one number that torch's loader draws.
    """
    rows = rows_of([dataset]) if dataset.collate_fn is default_collate else None
    mb_size = min(mb_size, max(len(dataset), 1))  # torch's sampler knows no greater ones
    if rows is None:
        return DataLoader(dataset, batch_size=mb_size, collate_fn=dataset.collate_fn)
    return DataLoader(_Samples(rows), batch_size=mb_size, collate_fn=list)


class Memory:
    """Datasets, one after the other, of which minibatches are taken by row.

    From tensors where that is exact. Avalanche would concatenate them two at a time, which takes
    seconds where a stream has hundreds of tasks.
    """

    def __init__(self, datasets: Sequence[AvalancheDataset]) -> None:
        self._samples: ConcatDataset[Any] = ConcatDataset(datasets)
        self._collate = datasets[0].collate_fn
        plain = all(dataset.collate_fn is default_collate for dataset in datasets)
        rows = rows_of(datasets) if plain else None
        self._rows = None if rows is None else rows.held(MAX_BYTES)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, rows: Tensor) -> Any:
        if self._rows is not None:
            return self._rows[rows]
        return self._collate([self._samples[i] for i in rows.tolist()])
