"""Parts of many samples, stacked."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

PICTURE = "picture"
"""The kind of a column of PIL's images, in bytes of shape (n, channels, height, width)."""


class NotRowsError(ValueError):
    """Samples that cannot be read many at once with the same bits as one by one."""


class Column(NamedTuple):
    """One part of many samples, as `default_collate` stacks it, and what it is in a sample.

    The kind is the dtype and shape of a tensor, `int` or another type of a number, or `PICTURE`.
    """

    kind: Any
    values: Tensor


def of_tensors(values: Tensor) -> Column:
    """A column of what is a tensor in each sample."""
    return Column((values.dtype, values.shape[1:]), values)


def numbers(column: Column) -> Column:
    """A column of whole numbers, one in each sample."""
    values = column.values
    is_whole = not values.is_floating_point() and not values.is_complex()
    if values.dim() != 1 or not is_whole or values.dtype == torch.bool or values.is_cuda:
        raise NotRowsError
    return Column(int, values.long())


def joined(parts: list[list[Column]]) -> list[Column]:
    """The columns of some samples after those of others."""
    if len({tuple(column.kind for column in part) for part in parts}) > 1:
        raise NotRowsError
    if len(parts) == 1:
        return parts[0]
    columns = zip(*parts, strict=True)
    return [Column(c[0].kind, torch.cat([column.values for column in c])) for c in columns]
