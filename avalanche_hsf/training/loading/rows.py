"""Many samples of datasets at once, from the arrays under them, where that is exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from avalanche_hsf._private.avalanche import data_attributes_of
from avalanche_hsf.training.loading.columns import PICTURE, Column, NotRowsError, joined
from avalanche_hsf.training.loading.leaves import Reader, reader_of
from avalanche_hsf.training.loading.places import Places, Source, one_after_the_other, places_in
from avalanche_hsf.training.loading.transforms import Step, step_of


class Rows:
    """The samples of some datasets, one after the other, of which any are read at once.

    `rows[k]`, with a tensor of their numbers, is what `default_collate` makes of them. Until then
    nothing is copied.
    """

    def __init__(self, places: Places, attributes: list[Column]) -> None:
        self._places, self._attributes = places, attributes
        used = places.source.unique().tolist()
        self._readers = {k: _reader(places.sources[k]) for k in used}
        firsts = [(places.source == k).nonzero()[0] for k in used]
        columns = joined([self._read(first) for first in firsts])
        if any(column.kind == PICTURE for column in columns):
            raise NotRowsError
        self.n_bytes = len(self) * sum(c.values[:1].nbytes for c in columns + attributes)

    def __len__(self) -> int:
        return len(self._places.row)

    def __getitem__(self, rows: Tensor) -> list[Tensor]:
        read = [column.values for column in self._read(rows)]
        return read + [column.values.index_select(0, rows) for column in self._attributes]

    def held(self, max_bytes: int) -> Rows:
        """A copy of its samples where that saves time and fits, else itself.

        Rows of one source are read as fast as a copy's; those of pictures faster, as they are a
        quarter of the bytes.
        """
        if len(self._readers) == 1 or self.n_bytes > max_bytes:
            return self
        copy = TensorDataset(*self[torch.arange(len(self))])
        return Rows(places_in(copy), [])

    def _read(self, rows: Tensor) -> list[Column]:
        row = self._places.row.index_select(0, rows)
        if len(self._readers) == 1:
            (reader,) = self._readers.values()
            return reader(row)
        source = self._places.source.index_select(0, rows)
        used = source.unique().tolist()
        places = [(source == k).nonzero().flatten() for k in used]
        columns = joined([self._readers[k](row[at]) for k, at in zip(used, places, strict=True)])
        back = torch.cat(places).argsort()
        return [Column(c.kind, c.values.index_select(0, back.to(c.values.device))) for c in columns]


def rows_of(datasets: Sequence[Any]) -> Rows | None:
    """All samples of some datasets; None if they cannot be read at once with the same bits.

    They can if they lie in arrays, are of the same shapes and types, and are transformed by nothing
    but what `step_of` knows.
    """
    datasets = [dataset for dataset in datasets if len(dataset)]
    if not datasets:
        return None
    try:
        places = one_after_the_other(map(places_in, datasets))
        attributes = [_attributes(each, torch.arange(len(each))) for each in datasets]
        return Rows(places, joined(attributes))
    except NotRowsError:
        return None


def taken(dataset: Any, rows: Sequence[int]) -> list[Tensor] | None:
    """Some samples of a dataset, as `default_collate` stacks them; None as for `rows_of`."""
    if not rows:
        return None
    chosen = torch.as_tensor(rows)
    try:
        found = Rows(places_in(dataset).at(chosen), _attributes(dataset, chosen))
    except NotRowsError:
        return None
    return found[torch.arange(len(found))]


def _reader(source: Source) -> Reader:
    steps = [(k, step_of(function)) for k, function in source.functions]
    return partial(_transformed, reader_of(source.dataset), steps)


def _transformed(read: Reader, steps: list[tuple[int, Step]], rows: Tensor) -> list[Column]:
    columns = read(rows)
    for k, step in steps:
        if k >= len(columns):
            raise NotRowsError
        columns[k] = step(columns[k])
    return columns


def _attributes(dataset: Any, rows: Tensor) -> list[Column]:
    """What comes after a sample, such as its task label, of some samples."""
    if not isinstance(dataset, AvalancheDataset):
        return []
    attributes = data_attributes_of(dataset).values()
    return [_attribute(each.data, rows) for each in attributes if each.use_in_getitem]


def _attribute(data: Any, rows: Tensor) -> Column:
    if isinstance(data, ConstantSequence):
        one = default_collate([data[0]])
        if not isinstance(one, Tensor) or isinstance(data[0], Tensor):
            raise NotRowsError
        return Column(type(data[0]), one.expand(len(rows)).clone())
    values = [data[row] for row in rows.tolist()]
    kinds = {(v.dtype, v.shape) if isinstance(v, Tensor) else type(v) for v in values}
    together = default_collate(values) if len(kinds) == 1 else None
    if not isinstance(together, Tensor):
        raise NotRowsError
    return Column(kinds.pop(), together)
