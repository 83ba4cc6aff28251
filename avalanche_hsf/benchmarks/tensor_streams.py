"""Streams of tensors: checks and datasets for every benchmark made of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from avalanche.benchmarks import CLScenario, benchmark_from_datasets, with_task_labels
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from torch import Tensor
from torch.utils.data import TensorDataset

from avalanche_hsf.checks import check_int, check_samples

LabelsOfExperience = int | Sequence[int]
"""The task label of an experience, or one for each of its samples."""


def check_stream(name: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    """One non-empty tensor of finite samples for each experience, all of one feature shape."""
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence):
        raise TypeError(
            f"{name} must be a list with one tensor per experience, got {type(tensors).__name__}; "
            "list(x) makes one of a tensor whose first dimension counts experiences"
        )
    if len(tensors) == 0:
        raise ValueError(f"{name} must hold at least one experience, got an empty list")
    checked = [check_samples(f"{name}[{i}]", x) for i, x in enumerate(tensors)]
    shapes = {tuple(x.shape[1:]) for x in checked}
    if len(shapes) > 1:
        raise ValueError(
            f"all experiences of {name} must have the same feature shape, got {sorted(shapes)}"
        )
    return checked


def check_streams(
    prefix: str, train: Sequence[Tensor], test: Sequence[Tensor] | None
) -> dict[str, list[Tensor]]:
    """Train and test tensors: as many experiences, one feature shape; without test, train twice."""
    streams = {"train": check_stream(f"{prefix}train", train)}
    streams["test"] = streams["train"] if test is None else check_stream(f"{prefix}test", test)
    n_train, n_test = map(len, streams.values())
    if n_test != n_train:
        raise ValueError(
            f"{prefix}test must have one tensor per training experience: {n_train}, got {n_test}"
        )
    shape, test_shape = (tuple(stream[0].shape[1:]) for stream in streams.values())
    if test_shape != shape:
        raise ValueError(
            f"{prefix}train and {prefix}test must have the same feature shape, got {shape} and "
            f"{test_shape}"
        )
    return streams


def train_and_test(
    inputs: Mapping[str, list[Tensor]],
    targets: Mapping[str, list[Tensor]],
    task_labels: Sequence[LabelsOfExperience] | None,
    test_task_labels: Sequence[LabelsOfExperience] | None,
    dtype: torch.dtype,
) -> CLScenario:
    """A benchmark of checked inputs and targets; the arguments of `regression_benchmark`."""
    if not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point type, got {dtype}")
    if task_labels is None:
        task_labels = list(range(len(inputs["train"])))
    if test_task_labels is None:
        if inputs["test"] is not inputs["train"] and any(map(_is_per_sample, task_labels)):
            raise ValueError(
                "task_labels gives a label for each training sample: give test_task_labels for test"
            )
        test_task_labels = task_labels
    train = datasets("task_labels", inputs["train"], targets["train"], task_labels, dtype)
    test = datasets("test_task_labels", inputs["test"], targets["test"], test_task_labels, dtype)
    return with_task_labels(benchmark_from_datasets(train=train, test=test))


def _is_per_sample(label: LabelsOfExperience) -> bool:
    return isinstance(label, (Sequence, Tensor)) and not isinstance(label, str)


def datasets(
    name: str,
    inputs: Sequence[Tensor],
    targets: Sequence[Tensor],
    labels: Sequence[LabelsOfExperience],
    dtype: torch.dtype,
) -> list[AvalancheDataset]:
    """One dataset for each experience, with items `[x, y, t]`."""
    if len(labels) != len(inputs):
        raise ValueError(
            f"{name} must have one entry per experience: {len(inputs)}, got {len(labels)}"
        )
    converted = f"a tensor converted to {dtype}"
    experiences = []
    for i, (*pair, label) in enumerate(zip(inputs, targets, labels, strict=True)):
        x, y = (check_samples(converted, tensor.detach().to(dtype)) for tensor in pair)
        task_labels = TaskLabels(_labels_of(f"{name}[{i}]", label, len(x)))
        experiences.append(AvalancheDataset([TensorDataset(x, y)], data_attributes=[task_labels]))
    return experiences


def _labels_of(name: str, label: LabelsOfExperience, n: int) -> Sequence[int]:
    if isinstance(label, Tensor):
        label = label.tolist()
    if not isinstance(label, Sequence) or isinstance(label, str):
        return ConstantSequence(check_int(name, label, at_least=0), n)
    if len(label) != n:
        raise ValueError(f"{name} must hold one label per sample: {n}, got {len(label)}")
    return [check_int(f"{name}[{k}]", t, at_least=0) for k, t in enumerate(label)]
