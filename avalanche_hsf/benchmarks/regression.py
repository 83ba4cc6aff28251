"""From plain tensors to a stream of regression tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from avalanche.benchmarks import CLScenario, benchmark_from_datasets, with_task_labels
from torch import Tensor

from avalanche_hsf.benchmarks.tensor_streams import (
    LabelsOfExperience,
    check_stream,
    datasets,
    one_label_each,
)

Pair = tuple[Tensor, Tensor]


def regression_benchmark(
    train: Sequence[Pair],
    test: Sequence[Pair] | None = None,
    *,
    task_labels: Sequence[LabelsOfExperience] | None = None,
    test_task_labels: Sequence[LabelsOfExperience] | None = None,
    dtype: torch.dtype = torch.float32,
) -> CLScenario:
    """A stream of regression experiences: items `[x, y, t]` with a vector y.

    Every Avalanche strategy that is sound on vector targets runs on it with `MSELoss`. See also
    `reconstruction_benchmark`, for y = x.

    Args:
        train: One pair for each experience: x, a `n_i x *features` tensor, and y, a
            `n_i x *outputs` tensor, both floating point. Shapes after the first dimension are
            the same in all experiences.
        test: The same for the test stream, one pair for each training experience. Default: the
            training samples.
        task_labels: Per experience either one task label or one for each sample; labels may
            repeat. Default: experience i has label i.
        test_task_labels: The same for the test stream. Default: `task_labels`, which then must
            hold one label per experience if `test` is given.
        dtype: Floating-point type of the streams.

    Returns:
        A `CLScenario` with a `train_stream` and a `test_stream`.

    Raises:
        TypeError: A tensor is not floating point, or a label is no integer.
        ValueError: No experience, an empty one, NaN or infinite entries, shapes that differ, x
            and y of different lengths, or a number of labels that does not fit.

    Example:
        >>> x = torch.linspace(-1, 1, 20).view(20, 1)
        >>> benchmark = regression_benchmark([(x, x**2), (x, 1 - x)])
        >>> [tensor.shape for tensor in benchmark.train_stream[1].dataset[0][:2]]
        [torch.Size([1]), torch.Size([1])]
    """
    if test_task_labels is None and test is not None and not one_label_each(task_labels):
        raise ValueError(
            "task_labels gives a label for each training sample: give test_task_labels for test"
        )
    pairs = {"train": train, "test": train if test is None else test}
    inputs = {name: check_stream(f"x of {name}", [x for x, _ in of]) for name, of in pairs.items()}
    targets = {name: check_stream(f"y of {name}", [y for _, y in of]) for name, of in pairs.items()}
    for what, streams in (("x", inputs), ("y", targets)):
        if len(streams["train"]) != len(streams["test"]):
            raise ValueError(
                f"test must have one pair per training experience, {len(train)}: got "
                f"{len(streams['test'])}"
            )
        shapes = {tuple(stream[0].shape[1:]) for stream in streams.values()}
        if len(shapes) > 1:
            raise ValueError(f"{what} of train and test must have one shape, got {sorted(shapes)}")
    for name in pairs:
        for i, (x, y) in enumerate(zip(inputs[name], targets[name], strict=True)):
            if len(x) != len(y):
                raise ValueError(f"{name}[{i}] has {len(x)} x but {len(y)} y")
    labels = {"train": list(range(len(train))) if task_labels is None else task_labels}
    labels["test"] = labels["train"] if test_task_labels is None else test_task_labels
    return with_task_labels(
        benchmark_from_datasets(
            **{
                name: datasets(
                    f"task labels of {name}", inputs[name], targets[name], labels[name], dtype
                )
                for name in pairs
            }
        )
    )
