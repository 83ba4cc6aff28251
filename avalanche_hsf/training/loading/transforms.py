"""Transformations that draw nothing at random, of many samples at once with the same bits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from copy import copy
from functools import partial, reduce
from typing import Any

import torch
from avalanche.benchmarks.classic.cmnist import PixelsPermutation
from avalanche.benchmarks.utils.classification_dataset import lookup
from avalanche.benchmarks.utils.transforms import MultiParamCompose, TupleTransform
from torch import Tensor
from torchvision import transforms

from avalanche_hsf.training.loading.columns import (
    PICTURE,
    Column,
    NotRowsError,
    numbers,
    of_tensors,
)

Step = Callable[[Column], Column]
"""Makes one column of another, whose memory it may use."""


def functions_of(transformation: Any) -> Iterator[tuple[int, Any]]:
    """What a transformation of Avalanche applies, in order, each to which part of a sample.

    Raises:
        NotRowsError: It is none of those that change each part by itself.
    """
    if type(transformation) is MultiParamCompose:
        for part in transformation.transforms:
            yield from functions_of(part)
    elif type(transformation) is TupleTransform:
        for k, function in enumerate(transformation.transforms):
            if function is not None:
                yield k, function
    else:
        raise NotRowsError


def step_of(function: Any) -> Step:
    """What a function does to one sample, for a column of them.

    A subclass may do otherwise, so only the classes themselves are known.

    Raises:
        NotRowsError: It is not known to be exact. The step raises it too, for samples on which the
            function fails or does what it does to no image.
    """
    if _is(function, "Compose"):
        steps = [step_of(each) for each in function.transforms]
        return partial(in_turn, steps)
    if _is(function, "ToTensor"):
        return _to_tensor
    if _is(function, "PILToTensor") or _is(function, "ToImage"):
        return _to_bytes
    if _is(function, "ConvertImageDtype") or _is(function, "ToDtype"):
        if isinstance(function.dtype, torch.dtype):
            return partial(_by_pixel, function)
    elif _is(function, "Normalize"):
        if not function.inplace and _is_flat(function.mean) and _is_flat(function.std):
            # Over the numbers of the column, which are its own: a third of the time less.
            in_place = copy(function)
            in_place.inplace = True
            return partial(_by_pixel, in_place)
    elif type(function) is PixelsPermutation:
        order = function.permutation
        if isinstance(order, Tensor) and order.dim() == 1 and order.min() >= 0:
            return partial(_permuted, order)
    elif _is_lookup(function):
        return partial(_looked_up, torch.tensor(function.args[0]))
    raise NotRowsError


def _is(function: Any, name: str) -> bool:
    """Whether it is of this class of torchvision, of either version of its transforms."""
    modules = transforms, sys.modules.get("torchvision.transforms.v2")  # importing v2 takes a while
    return any(type(function) is getattr(module, name, None) for module in modules)


def _is_flat(values: Any) -> bool:
    return torch.as_tensor(values).dim() <= 1


def _is_lookup(function: Any) -> bool:
    """Whether it looks up whole numbers, as Avalanche does to number classes."""
    return (
        isinstance(function, partial)
        and function.func is lookup
        and len(function.args) == 1
        and not function.keywords
        and isinstance(function.args[0], list)
        and all(type(entry) is int for entry in function.args[0])
    )


def in_turn(steps: list[Step], column: Column) -> Column:
    """What steps make of a column, one after the other."""
    return reduce(lambda made, step: step(made), steps, column)


def _to_tensor(column: Column) -> Column:
    return of_tensors(_to_bytes(column).values.to(torch.get_default_dtype()).div_(255))


def _to_bytes(column: Column) -> Column:
    if column.kind != PICTURE:
        raise NotRowsError
    return of_tensors(column.values)


def _by_pixel(function: Any, column: Column) -> Column:
    """By the function itself, to which a batch is as good as an image."""
    if not isinstance(column.kind, tuple) or column.values.dim() != 4:
        raise NotRowsError
    try:
        return of_tensors(function(column.values))
    except (TypeError, ValueError, RuntimeError) as error:  # as it does on each sample
        raise NotRowsError from error


def _permuted(order: Tensor, column: Column) -> Column:
    values = column.values
    if not isinstance(column.kind, tuple) or values[0].numel() != len(order):
        raise NotRowsError
    return of_tensors(values.flatten(1).index_select(1, order).view(values.shape))


def _looked_up(entries: Tensor, column: Column) -> Column:
    return Column(int, entries[numbers(column).values])
