"""Plain tensors as a stream of experiences with vector targets: reconstruction and regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from avalanche.benchmarks import CLScenario, benchmark_from_datasets, with_task_labels
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from torch import Tensor
from torch.utils.data import TensorDataset

from avalanche_hsf.checks import check_dtype, check_int, check_samples, shown

LabelsOfExperience = int | Sequence[int]
"""The task label of an experience, or one for each of its samples."""

Pair = tuple[Tensor, Tensor]


def reconstruction_benchmark(
    train: Sequence[Tensor],
    test: Sequence[Tensor] | None = None,
    *,
    task_labels: Sequence[LabelsOfExperience] | None = None,
    test_task_labels: Sequence[LabelsOfExperience] | None = None,
    dtype: torch.dtype = torch.float32,
) -> CLScenario:
    """A stream of autoencoding experiences: items `[x, y, t]` with `y = x`.

    Every built-in Avalanche strategy with `MSELoss` runs on it unchanged. (Avalanche 0.6's own
    `tensors_benchmark` expects one class index per sample and fails on vector targets.)

    Args:
        train: One `n_i x *features` floating-point tensor per experience. The number of samples
            may differ between experiences, the feature shape may not.
        test: The same for the test stream, one tensor per training experience. Default: the
            training tensors, as in the paper.
        task_labels: Per experience either one task label or one for each sample; labels may
            repeat. Default: experience i has label i.
        test_task_labels: The same for the test stream. Default: `task_labels`, which then must
            hold one label per experience if `test` is given.
        dtype: Floating-point type of the streams; the models of this package are float32.

    Returns:
        A `CLScenario` with a `train_stream` and a `test_stream`.

    Raises:
        TypeError: A tensor is not floating point, or a label is no integer.
        ValueError: No experience, an empty experience, NaN or infinite entries, feature shapes
            that differ, or a number of labels that does not fit.

    Example:
        >>> benchmark = reconstruction_benchmark([torch.zeros(8, 3), torch.ones(5, 3)])
        >>> [len(experience.dataset) for experience in benchmark.train_stream]
        [8, 5]
        >>> benchmark.train_stream[1].task_label
        1
    """
    streams = _check_streams("", train, test)
    return _train_and_test(streams, streams, task_labels, test_task_labels, dtype)


def regression_benchmark(
    train: Sequence[Pair],
    test: Sequence[Pair] | None = None,
    *,
    task_labels: Sequence[LabelsOfExperience] | None = None,
    test_task_labels: Sequence[LabelsOfExperience] | None = None,
    dtype: torch.dtype = torch.float32,
) -> CLScenario:
    """A stream of regression experiences: items `[x, y, t]` with a vector y.

    As `reconstruction_benchmark`, which is for y = x: the other arguments and errors are the same.
    Every Avalanche strategy that is sound on vector targets runs on it with `MSELoss`.

    Args:
        train: One pair per experience: x, a `n_i x *features` tensor, and y, a `n_i x *outputs`
            tensor, both floating point. Shapes after the first dimension are the same in all
            experiences.
        test: The same for the test stream, one pair per training experience. Default: the
            training samples.

    Raises:
        ValueError: Also x and y of different lengths.

    Example:
        >>> x = torch.linspace(-1, 1, 20).view(20, 1)
        >>> benchmark = regression_benchmark([(x, x**2), (x, 1 - x)])
        >>> [tensor.shape for tensor in benchmark.train_stream[1].dataset[0][:2]]
        [torch.Size([1]), torch.Size([1])]
    """
    for name, pairs in (("train", train), ("test", test)):
        if pairs is not None or name == "train":
            _check_pairs(name, pairs)
    inputs = _check_streams("x of ", *_column(0, train, test))
    targets = _check_streams("y of ", *_column(1, train, test))
    for name in inputs:
        for i, (x, y) in enumerate(zip(inputs[name], targets[name], strict=True)):
            if len(x) != len(y):
                raise ValueError(f"{name}[{i}] has {len(x)} x but {len(y)} y")
    return _train_and_test(inputs, targets, task_labels, test_task_labels, dtype)


def _check_pairs(name: str, pairs: object) -> None:
    if not isinstance(pairs, Sequence) or isinstance(pairs, (str, bytes)):
        raise TypeError(
            f"{name} must be a list with a pair (x, y) per experience, got {shown(pairs)}"
        )
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise TypeError(f"{name}[{i}] must be a pair (x, y), got {shown(pair)}")


def _column(
    k: int, train: Sequence[Pair], test: Sequence[Pair] | None
) -> tuple[list[Tensor], list[Tensor] | None]:
    return [pair[k] for pair in train], None if test is None else [pair[k] for pair in test]


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


def _check_streams(
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


def _train_and_test(
    inputs: Mapping[str, list[Tensor]],
    targets: Mapping[str, list[Tensor]],
    task_labels: Sequence[LabelsOfExperience] | None,
    test_task_labels: Sequence[LabelsOfExperience] | None,
    dtype: torch.dtype,
) -> CLScenario:
    """A benchmark of checked inputs and targets; the arguments of `regression_benchmark`."""
    check_dtype("dtype", dtype)
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
    if not isinstance(labels, (Sequence, np.ndarray, Tensor)) or isinstance(labels, (str, bytes)):
        raise TypeError(f"{name} must be a list of labels, got {shown(labels)}")
    if isinstance(labels, (np.ndarray, Tensor)) and labels.ndim == 0:
        raise TypeError(f"{name} must be a list of labels, got {shown(labels)}")
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
        if label.is_meta or label.layout != torch.strided:
            raise TypeError(f"{name} must be a dense tensor with values, got {shown(label)}")
        label = label.tolist()
    if not isinstance(label, Sequence) or isinstance(label, str):
        return ConstantSequence(check_int(name, label, at_least=0), n)
    if len(label) != n:
        raise ValueError(f"{name} must hold one label per sample: {n}, got {len(label)}")
    return [check_int(f"{name}[{k}]", t, at_least=0) for k, t in enumerate(label)]
