"""Many samples of a dataset at once, from the tensors under it, where that is exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import inf
from typing import Any, NamedTuple

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.classification_dataset import lookup
from avalanche.benchmarks.utils.flat_data import ConstantSequence, FlatData
from avalanche.benchmarks.utils.transforms import TupleTransform
from torch import Tensor
from torch.utils.data import TensorDataset, default_collate

from avalanche_hsf._private.avalanche import (
    TensorsWithClasses,
    data_attributes_of,
    flat_data,
    group_of,
    indices_of,
    parts_of,
    transformations_of,
)
from avalanche_hsf.benchmarks.pixels import PermutedPixels


class NotRowsError(ValueError):
    """Samples that are no rows of common tensors."""


class Column(NamedTuple):
    """One part of many samples, as `default_collate` stacks it, and what it is in a sample."""

    kind: Any
    values: Tensor


def bytes_of(dataset: Any) -> float:
    """Size of all samples, stacked; infinite where `stacked` cannot read them."""
    return len(dataset) * _row_bytes(dataset, None)


def stacked(datasets: Any) -> list[Tensor] | None:
    """All samples of some datasets, as `default_collate` stacks them one after the other.

    None if they are no rows of common tensors: there are none, or their shapes or types differ.
    """
    try:
        parts = [_read(d, torch.arange(len(d)), None) for d in datasets if len(d)]
        return [column.values for column in _joined(parts)] if parts else None
    except NotRowsError:
        return None


def taken(dataset: Any, rows: Sequence[int]) -> list[Tensor] | None:
    """Some samples of a dataset, as `default_collate` stacks them; None as for `stacked`."""
    if not rows or bytes_of(dataset) == inf:
        return None
    try:
        return [column.values for column in _read(dataset, torch.as_tensor(rows), None)]
    except NotRowsError:
        return None


def _row_bytes(dataset: Any, group: str | None) -> float:
    if isinstance(dataset, AvalancheDataset):
        return _row_bytes(flat_data(dataset), None)
    if isinstance(dataset, FlatData):
        group = group_of(dataset, group)
        if not all(map(_is_relabelling, transformations_of(dataset, group))):
            return inf
        return max((_row_bytes(part, group) for part in parts_of(dataset)), default=0.0)
    if type(dataset) in (TensorDataset, TensorsWithClasses):
        return sum(t.nbytes for t in dataset.tensors) / max(len(dataset), 1)
    return dataset.row_bytes if type(dataset) is PermutedPixels else inf


def _read(dataset: Any, rows: Tensor, group: str | None) -> list[Column]:
    """The samples of some rows; only of datasets of which `_row_bytes` is finite."""
    if isinstance(dataset, AvalancheDataset):
        columns = _read(flat_data(dataset), rows, None)
        return columns + [_attribute(dataset, name, rows) for name in _appended(dataset)]
    if isinstance(dataset, FlatData):
        return _read_flat(dataset, rows, group_of(dataset, group))
    if isinstance(dataset, PermutedPixels):
        tensors = dataset.rows(rows)
    else:
        tensors = tuple(t.index_select(0, rows.to(t.device)) for t in dataset.tensors)
    columns = [Column((t.dtype, t.shape[1:]), t) for t in tensors]
    if isinstance(dataset, TensorsWithClasses):
        columns[1] = _number(columns[1])
    return columns


def _read_flat(flat: Any, rows: Tensor, group: str | None) -> list[Column]:
    indices, parts = indices_of(flat), parts_of(flat)
    if indices is not None:
        rows = torch.as_tensor(list(indices), dtype=torch.long)[rows]
    if len(parts) == 1:
        columns = _read(parts[0], rows, group)
    else:
        ends = torch.tensor(list(accumulate(map(len, parts))))
        part_of = torch.bucketize(rows, ends, right=True)
        places = [(part_of == k).nonzero().flatten() for k in range(len(parts))]
        starts = [0, *ends.tolist()]
        read = [
            _read(part, rows[place] - start, group)
            for part, place, start in zip(parts, places, starts, strict=False)
            if len(place)
        ]
        back = torch.cat(places).argsort()
        columns = [Column(c.kind, c.values[back.to(c.values.device)]) for c in _joined(read)]
    for transformation in transformations_of(flat, group):
        for k, function in enumerate(transformation.transforms):
            if function is not None:
                columns[k] = _relabelled(columns[k], function.args[0])
    return columns


def _joined(parts: list[list[Column]]) -> list[Column]:
    if len({tuple(column.kind for column in part) for part in parts}) > 1:
        raise NotRowsError
    if len(parts) == 1:
        return parts[0]
    columns = zip(*parts, strict=True)
    return [Column(c[0].kind, torch.cat([column.values for column in c])) for c in columns]


def _appended(dataset: AvalancheDataset) -> list[str]:
    """The attributes that come after a sample, such as task labels."""
    return [name for name, a in data_attributes_of(dataset).items() if a.use_in_getitem]


def _attribute(dataset: AvalancheDataset, name: str, rows: Tensor) -> Column:
    data = data_attributes_of(dataset)[name].data
    if isinstance(data, ConstantSequence) and len(rows):
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


def _is_relabelling(transformation: Any) -> bool:
    """Whether it does nothing, or looks up whole numbers, as Avalanche does to number classes."""
    return type(transformation) is TupleTransform and all(
        function is None
        or (
            isinstance(function, partial)
            and function.func is lookup
            and len(function.args) == 1
            and not function.keywords
            and isinstance(function.args[0], list)
            and all(type(entry) is int for entry in function.args[0])
        )
        for function in transformation.transforms
    )


def _relabelled(column: Column, numbers: list[int]) -> Column:
    return Column(int, torch.tensor(numbers)[_number(column).values])


def _number(column: Column) -> Column:
    """Whole numbers, one in each sample."""
    values = column.values
    is_whole = not values.is_floating_point() and not values.is_complex()
    if values.dim() != 1 or not is_whole or values.dtype == torch.bool or values.is_cuda:
        raise NotRowsError
    return Column(int, values.long())
