"""Datasets whose samples lie in memory as one array, read many at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.datasets.external_datasets.mnist import TensorMNIST
from torch import Tensor
from torch.utils.data import TensorDataset
from torchvision.datasets import CIFAR10, CIFAR100, EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST

from avalanche_hsf._private.avalanche import TensorsWithClasses
from avalanche_hsf.benchmarks.pixels import PermutedPixels
from avalanche_hsf.training.loading.columns import (
    PICTURE,
    Column,
    NotRowsError,
    numbers,
    of_tensors,
)
from avalanche_hsf.training.loading.transforms import Step, in_turn, step_of

Reader = Callable[[Tensor], list[Column]]
"""Gives the samples of some rows, in memory of their own."""

_GREY = (MNIST, FashionMNIST, KMNIST, EMNIST, QMNIST, TensorMNIST)
_COLOURED = (CIFAR10, CIFAR100)


def reader_of(dataset: Any) -> Reader:
    """What reads a dataset.

    A subclass may read differently, so only the classes themselves are known.

    Raises:
        NotRowsError: Nothing known does with the same bits as `dataset[i]`.
    """
    kind = type(dataset)
    if kind is TensorDataset:
        return partial(_from_tensors, dataset.tensors)
    if kind is TensorsWithClasses:
        return partial(_with_classes, dataset.tensors)
    if kind is PermutedPixels:
        return partial(_permuted, dataset)
    if kind in _GREY or kind in _COLOURED:
        return _of_images(dataset)
    raise NotRowsError


def _from_tensors(tensors: tuple[Tensor, ...], rows: Tensor) -> list[Column]:
    return [of_tensors(t.index_select(0, rows.to(t.device))) for t in tensors]


def _with_classes(tensors: tuple[Tensor, ...], rows: Tensor) -> list[Column]:
    x, y, *others = _from_tensors(tensors, rows)
    return [x, numbers(y), *others]


def _permuted(dataset: PermutedPixels, rows: Tensor) -> list[Column]:
    return [of_tensors(part) for part in dataset.rows(rows)]


def _of_images(dataset: Any) -> Reader:
    """Of torchvision's images, which PIL holds between the array and the transform."""
    kind = type(dataset)
    images = _grey(dataset.data) if kind in _GREY else _coloured(dataset.data)
    classes = _classes_of(dataset)
    if dataset.target_transform is not None or len(classes) != len(images):
        raise NotRowsError
    steps = [] if dataset.transform is None else [step_of(dataset.transform)]
    return partial(_images, images, classes, steps, kind is TensorMNIST)


def _images(
    images: Tensor, classes: Tensor, steps: list[Step], as_tensors: bool, rows: Tensor
) -> list[Column]:
    values = images.index_select(0, rows)
    column = of_tensors(values.float().div_(255)) if as_tensors else Column(PICTURE, values)
    return [in_turn(steps, column), Column(int, classes.index_select(0, rows))]


def _grey(data: Any) -> Tensor:
    if not isinstance(data, Tensor) or data.dtype != torch.uint8 or data.dim() != 3:
        raise NotRowsError
    return data.unsqueeze(1)


def _coloured(data: Any) -> Tensor:
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[3:] != (3,):
        raise NotRowsError
    # As the file has them, channels first: nothing is copied.
    return torch.from_numpy(np.require(data.transpose(0, 3, 1, 2), requirements=["C", "W"]))


def _classes_of(dataset: Any) -> Tensor:
    """The class of each image, an `int` in a sample."""
    targets = dataset.targets
    if type(dataset) in _COLOURED:
        if not isinstance(targets, list) or set(map(type, targets)) != {int}:
            raise NotRowsError
        targets = torch.tensor(targets)
    elif type(dataset) is QMNIST:
        if not dataset.compat:
            raise NotRowsError
        targets = targets[:, 0]
    if not isinstance(targets, Tensor):
        raise NotRowsError
    return numbers(of_tensors(targets)).values
