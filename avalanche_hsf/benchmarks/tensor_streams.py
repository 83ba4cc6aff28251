"""What streams made of tensors have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
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


def one_label_each(task_labels: Sequence[LabelsOfExperience] | None) -> bool:
    """Whether every experience has one task label, not one for each sample."""
    return task_labels is None or not any(
        isinstance(label, (Sequence, Tensor)) and not isinstance(label, str)
        for label in task_labels
    )


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
    made = []
    for i, (x, y, label) in enumerate(zip(inputs, targets, labels, strict=True)):
        x, y = (
            check_samples(f"a tensor converted to {dtype}", each.detach().to(dtype))
            for each in (x, y)
        )
        made.append(
            AvalancheDataset(
                [TensorDataset(x, y)],
                data_attributes=[TaskLabels(_labels_of(f"{name}[{i}]", label, len(x)))],
            )
        )
    return made


def _labels_of(name: str, label: LabelsOfExperience, n: int) -> Sequence[int]:
    if isinstance(label, Tensor):
        label = label.tolist()
    if not isinstance(label, Sequence) or isinstance(label, str):
        return ConstantSequence(check_int(name, label, at_least=0), n)
    if len(label) != n:
        raise ValueError(f"{name} must hold one label per sample: {n}, got {len(label)}")
    return [check_int(f"{name}[{k}]", each, at_least=0) for k, each in enumerate(label)]
