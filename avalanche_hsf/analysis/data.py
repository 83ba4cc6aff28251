"""Samples of a task, whatever they come in."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from avalanche_hsf.checks import shown
from avalanche_hsf.models.tasks.nested import map_tensors, n_rows, rows_of

Data = Any
"""Samples of one task: an experience of Avalanche, whose dataset is read as in evaluation; a torch
`DataLoader` or another iterable of minibatches `(x, y)` or `(x, y, ..., t)` with task labels t; a
torch `Dataset`; or a pair of tensors `x, y`."""

Minibatch = Sequence[Any]


def minibatches_of(data: Data, mb_size: int = 256) -> list[Minibatch]:
    """All samples in minibatches, whose size iterables of them decide themselves.

    Raises:
        TypeError: It is nothing of the kind of `Data`.
        ValueError: There are no samples.
    """
    minibatches = list(_minibatches(data, mb_size))
    for minibatch in minibatches:
        if not isinstance(minibatch, (tuple, list)) or len(minibatch) < 2:
            raise TypeError(f"a minibatch must be (x, y) or (x, y, ..., t), got {shown(minibatch)}")
    if not minibatches or not sum(n_rows(minibatch[1]) for minibatch in minibatches):
        raise ValueError(f"there are no samples in {shown(data)}")
    return minibatches


def check_data(data: Data) -> None:
    """TypeError unless it is of the kind of `Data`; no sample is read."""
    is_known = _dataset_of(data) is not None or _is_pair(data) or isinstance(data, Dataset)
    not_samples = Tensor, str, bytes, dict, type
    if not is_known and (not isinstance(data, Iterable) or isinstance(data, not_samples)):
        raise TypeError(
            "data must be an experience of a benchmark, a DataLoader, a Dataset, or a pair of "
            f"tensors x, y; got {shown(data)}"
        )


def spread_over(data: Data, n_samples: int) -> Minibatch:
    """One minibatch of evenly spaced samples, at most so many."""
    dataset = _dataset_of(data)
    if dataset is not None:
        every = max(1, len(dataset) // n_samples)
        chosen = range(0, len(dataset), every)[:n_samples]
        if not chosen:
            raise ValueError(f"there are no samples in {shown(data)}")
        from avalanche_hsf.training.loading.in_memory import collected

        return collected(dataset, chosen)
    together = joined(minibatches_of(data))
    n = n_rows(together[1])
    rows = torch.arange(0, n, max(1, n // n_samples))[:n_samples]
    return [rows_of(part, rows) for part in together]


def _minibatches(data: Data, mb_size: int) -> Iterator[Minibatch]:
    check_data(data)
    dataset = _dataset_of(data)
    if dataset is not None:
        from avalanche_hsf.training.loading.in_memory import in_order

        yield from in_order(dataset, mb_size)
    elif _is_pair(data):
        yield from DataLoader(TensorDataset(*data), batch_size=mb_size)
    elif isinstance(data, Dataset):
        yield from DataLoader(data, batch_size=mb_size)
    else:
        yield from data


def _is_pair(data: Data) -> bool:
    return (
        isinstance(data, (tuple, list))
        and len(data) == 2
        and all(isinstance(part, Tensor) for part in data)
    )


def _dataset_of(data: Data) -> Any:
    """The data of an experience, as in evaluation; None if it is none."""
    if "avalanche" not in sys.modules:  # then nothing can be one
        return None
    from avalanche.benchmarks.utils import AvalancheDataset

    dataset = data if isinstance(data, AvalancheDataset) else getattr(data, "dataset", None)
    return dataset.eval() if isinstance(dataset, AvalancheDataset) else None


def joined(minibatches: Sequence[Minibatch]) -> Minibatch:
    """One minibatch of the samples of several, one after the other."""
    return map_tensors(lambda *tensors: torch.cat(tensors), *minibatches)
