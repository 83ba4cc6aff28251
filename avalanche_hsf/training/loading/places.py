"""Where the samples of a dataset are, through Avalanche's layers of subsets and concatenations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.flat_data import FlatData
from torch import Tensor

from avalanche_hsf._private.avalanche import (
    flat_data,
    group_of,
    indices_of,
    parts_of,
    transformations_of,
)
from avalanche_hsf.training.loading.columns import NotRowsError
from avalanche_hsf.training.loading.transforms import functions_of


class Source(NamedTuple):
    """A dataset and what is done to its samples: each function to one part of them, in order."""

    dataset: Any
    functions: tuple[tuple[int, Any], ...] = ()


class Places(NamedTuple):
    """Where samples are: sample k is row `row[k]` of source `source[k]`."""

    sources: list[Source]
    source: Tensor
    row: Tensor

    def at(self, rows: Tensor) -> Places:
        """Those of some samples."""
        return Places(self.sources, self.source[rows], self.row[rows])


def places_in(dataset: Any, group: str | None = None) -> Places:
    """Those of all samples of a dataset, read in a group of transformations.

    Raises:
        NotRowsError: A transformation changes a sample as a whole, or a class of a user's own may
            read otherwise.
    """
    if isinstance(dataset, (AvalancheDataset, FlatData)) and not is_avalanches(dataset):
        raise NotRowsError
    if isinstance(dataset, AvalancheDataset):
        return places_in(flat_data(dataset))
    if not isinstance(dataset, FlatData):
        row = torch.arange(len(dataset))
        return Places([Source(dataset)], torch.zeros_like(row), row)
    group, indices = group_of(dataset, group), indices_of(dataset)
    places = one_after_the_other(places_in(part, group) for part in parts_of(dataset))
    if indices is not None:
        places = places.at(torch.as_tensor(list(indices), dtype=torch.long))
    functions = [f for t in transformations_of(dataset, group) for f in functions_of(t)]
    sources = [Source(d, (*inner, *functions)) for d, inner in places.sources]
    return places._replace(sources=sources)


def one_after_the_other(parts: Iterable[Places]) -> Places:
    """The samples of several. A source that comes in more than one is one."""
    sources: list[Source] = []
    of_dataset: dict[int, list[int]] = {}  # the places of its sources, by its id
    found, rows = [], []
    for part in parts:
        numbers = []
        for source in part.sources:
            known = of_dataset.setdefault(id(source.dataset), [])
            same = [k for k in known if sources[k].functions == source.functions]
            if not same:
                same = [len(sources)]
                known += same
                sources.append(source)
            numbers.append(same[0])
        found.append(torch.tensor(numbers)[part.source])
        rows.append(part.row)
    return Places(sources, torch.cat(found), torch.cat(rows))


def is_avalanches(thing: Any) -> bool:
    """Whether its class is Avalanche's own: a subclass may do otherwise."""
    return type(thing).__module__.startswith("avalanche.")
