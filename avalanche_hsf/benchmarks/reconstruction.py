"""Any benchmark as a stream whose target is the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from avalanche.benchmarks import CLScenario, benchmark_from_datasets, with_task_labels
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor

from avalanche_hsf.benchmarks.tensor_streams import LabelsOfExperience, check_stream, datasets


def as_reconstruction(benchmark: CLScenario) -> CLScenario:
    """Any Avalanche benchmark as a stream of autoencoding experiences: items `[x, x, t]`.

    For training built-in strategies with `MSELoss` to reconstruct what was made for
    classification; `HSFStrategy` does not need it. Every stream is kept, with its experiences,
    samples and task labels in their order.

    Each input is transformed and read once, here: those of the train stream by their "train"
    transformations, all others by "eval". So the streams lie in memory, and a random augmentation
    is drawn once per sample instead of once per epoch.

    What Avalanche knows of the targets is lost, such as `classes_in_this_experience`, so
    class-balanced buffers and class metrics do not work; so are transformation groups, collate
    functions, and attributes of the benchmark itself.

    Args:
        benchmark: Its items are `[x, ..., t]` with the task label last, or `[x, y]` without one,
            which gets the label 0. All x are floating-point tensors of one shape.

    Returns:
        A `CLScenario` with the streams of the given one, x as float32.

    Raises:
        TypeError: It is no benchmark, its experiences hold no data, an x is no floating-point
            tensor, or a task label is no integer.
        ValueError: The shapes of x differ, there are NaN or infinite entries, or a stream or an
            experience is empty.

    Example:
        >>> from avalanche_hsf.benchmarks import SplitDigits
        >>> x, y, t = as_reconstruction(SplitDigits(5, seed=0)).train_stream[3].dataset[0]
        >>> x.shape, torch.equal(x, y), t
        (torch.Size([1, 8, 8]), True, 3)
    """
    if not isinstance(benchmark, CLScenario):
        raise TypeError(
            f"benchmark must be an Avalanche benchmark, a CLScenario, got "
            f"{type(benchmark).__name__}; reconstruction_benchmark makes one of tensors"
        )
    inputs: dict[str, list[Tensor]] = {}
    labels: dict[str, list[LabelsOfExperience]] = {}
    for name, stream in benchmark.streams.items():
        pairs = [_read(f"{name}[{i}]", e, train=name == "train") for i, e in enumerate(stream)]
        inputs[name] = check_stream(name, [x for x, _ in pairs])
        labels[name] = [t for _, t in pairs]
    shapes = {name: tuple(tensors[0].shape[1:]) for name, tensors in inputs.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"all streams must have the same feature shape, got {shapes}")
    streams = {
        name: datasets(f"task labels of {name}", tensors, tensors, labels[name], torch.float32)
        for name, tensors in inputs.items()
    }
    return with_task_labels(benchmark_from_datasets(**streams))


def _read(name: str, experience: Any, *, train: bool) -> tuple[Tensor, LabelsOfExperience]:
    """All inputs of an experience, stacked, and its task label, or those of its samples."""
    dataset = getattr(experience, "dataset", None)
    if not isinstance(dataset, AvalancheDataset):
        raise TypeError(f"{name} must hold an AvalancheDataset, got {type(dataset).__name__}")
    dataset = dataset.train() if train else dataset.eval()
    items = [dataset[k] for k in range(len(dataset))]
    if not items:
        raise ValueError(f"{name} must hold at least one sample, got none")
    for k, item in enumerate(items):
        if not isinstance(item, Sequence):
            raise TypeError(
                f"{name}.dataset[{k}] must be (x, ..., task label), got {type(item).__name__}"
            )
        _check_input(f"x of {name}.dataset[{k}]", item[0], items[0][0])
    x = torch.stack([item[0].detach() for item in items])
    labels = getattr(dataset, "targets_task_labels", None)
    if labels is None:
        labels = [item[-1] if len(item) > 2 else 0 for item in items]
    labels = [label.item() if isinstance(label, Tensor) else label for label in labels]
    return x, labels[0] if len(set(labels)) == 1 else labels


def _check_input(name: str, x: object, first: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(
            f"{name} must be a floating-point tensor, got {got}; "
            "give the benchmark a transformation that makes one, as torchvision's ToTensor"
        )
    if x.shape != first.shape:
        raise ValueError(
            f"{name} must have the shape of the first sample, {tuple(first.shape)}, "
            f"got {tuple(x.shape)}"
        )
