"""Digits: real images without a download, scikit-learn's, split by class."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import torch
from avalanche.benchmarks import NCScenario, nc_benchmark
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import TensorDataset

from avalanche_hsf.benchmarks.classes import class_order, classes_per_experience
from avalanche_hsf.checks import check_bool, shown


def SplitDigits(
    n_experiences: int = 5,
    *,
    return_task_id: bool = True,
    seed: int | None = None,
    fixed_class_order: Sequence[int] | None = None,
    shuffle: bool = True,
    test_size: float = 0.2,
) -> NCScenario:
    """The 1797 handwritten digits of scikit-learn, each class in one experience.

    A small `SplitMNIST`, with Avalanche's arguments and, for the same seed, its order of the
    classes. `as_reconstruction` makes a stream for autoencoders of it.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository (1998), the test part, as bundled with scikit-learn.

    Args:
        n_experiences: Number of experiences, 1 to 10. Where it does not divide 10, the first
            experiences have one class more.
        return_task_id: True gives experience i the task label i; False gives all of them the
            label 0. `SplitMNIST` has False by default.
        seed: Shuffles the order of the classes, and nothing else. Default: the order that torch's
            global generator is about to draw; it is read, not moved.
        fixed_class_order: The ten classes in the order wanted; `seed` and `shuffle` are ignored.
        shuffle: False keeps the order 0 to 9.
        test_size: Share of the test images, 0.01 to 0.99, of each class alike. All seeds and
            orders have the same ones.

    Returns:
        An `NCScenario` with items `[x, y, t]`: x of shape (1, 8, 8), float32 in [0, 1], y the
        digit, t the task label. By default 1437 training images, 139 to 146 of each class, and
        360 test images.

    Raises:
        TypeError, ValueError: An argument is out of its range.

    Example:
        >>> benchmark = SplitDigits(5, shuffle=False)
        >>> experience = benchmark.train_stream[1]
        >>> experience.classes_in_this_experience, experience.task_label
        ([2, 3], 1)
    """
    order = class_order(fixed_class_order, shuffle, seed)
    sizes = classes_per_experience(n_experiences)
    check_bool("return_task_id", return_task_id)
    train, test = _datasets(test_size)
    return nc_benchmark(
        train,
        test,
        len(sizes),
        return_task_id,
        # Given a seed instead, Avalanche would seed torch's global generators with it.
        fixed_class_order=order,
        per_exp_classes=sizes,
    )


def _datasets(test_size: float) -> tuple[TensorDataset, TensorDataset]:
    if isinstance(test_size, bool) or not isinstance(test_size, Real):
        raise TypeError(f"test_size must be a number, got {shown(test_size)}")
    if not 0.01 <= test_size <= 0.99:
        raise ValueError(f"test_size must be a share between 0.01 and 0.99, got {test_size}")
    digits = load_digits()
    x = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
    y = torch.from_numpy(digits.target)
    parts = train_test_split(range(len(y)), test_size=test_size, stratify=y, random_state=0)
    train, test = (TensorDataset(x[part], y[part]) for part in parts)
    return train, test
