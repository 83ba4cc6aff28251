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
from torch.utils.data import DataLoader, TensorDataset, default_collate

from avalanche_hsf._private.avalanche import epoch_loader
from avalanche_hsf.training.rows import bytes_of, stacked, taken

MAX_BYTES = 256 * 2**20


def in_memory(loader: Any, *, max_bytes: int = MAX_BYTES) -> Any:
    """A loader that yields the same minibatches in the same order, faster.

    The samplers of the given loader set the order and draw the same random numbers as before. It
    is replaced where that is exact: an Avalanche loader (of one dataset, balanced over tasks or
    groups, with replay) without worker processes, over datasets of samples of at most `max_bytes`
    each, from plain tensors or `PermutedPixels` of one shape and type, with no collate function and
    no transformation but Avalanche's numbering of classes. Otherwise it comes back as it is.
    """
    eligible = (
        isinstance(loader, MultiDatasetDataLoader)
        and not loader.distributed_sampling
        and loader.loader_kwargs.get("num_workers", 0) == 0
        and loader.loader_kwargs["collate_fn"] is default_collate
        and all(bytes_of(dataset) <= max_bytes for dataset in loader.datasets)
    )
    columns = stacked(loader.datasets) if eligible else None
    return loader if columns is None else _InMemoryLoader(loader, columns)


class _InMemoryLoader:
    def __init__(self, loader: MultiDatasetDataLoader, columns: list[Tensor]) -> None:
        self._loader = loader
        # Its samplers draw when an iteration starts and keep nothing, so one serves all epochs.
        stock = epoch_loader(loader)
        self._batches: DataLoader = DataLoader(
            _Columns(*columns),
            batch_sampler=stock.batch_sampler,
            collate_fn=list,
            pin_memory=stock.pin_memory,
            generator=stock.generator,
        )

    def __iter__(self) -> Iterator[list[Tensor]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._loader)


class _Columns(TensorDataset):
    """Torch's loader asks for a whole batch at once where a dataset has `__getitems__`."""

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, ...]:
        rows = torch.tensor(indices)
        return tuple(column.index_select(0, rows) for column in self.tensors)


def collected(dataset: AvalancheDataset, rows: Sequence[int]) -> Any:
    """Samples as the dataset's collate function puts them together; at once where that is exact."""
    columns = taken(dataset, rows) if dataset.collate_fn is default_collate else None
    return columns or dataset.collate_fn([dataset[i] for i in rows])


class Memory:
    """A dataset of which minibatches are taken by row, from tensors where that is exact."""

    def __init__(self, dataset: AvalancheDataset) -> None:
        self._dataset = dataset
        self._columns: list[Tensor] | None = None
        if dataset.collate_fn is default_collate and bytes_of(dataset) <= MAX_BYTES:
            self._columns = stacked([dataset])

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, rows: Tensor) -> Any:
        if self._columns is not None:
            return [column[rows] for column in self._columns]
        return self._dataset.collate_fn([self._dataset[i] for i in rows.tolist()])
