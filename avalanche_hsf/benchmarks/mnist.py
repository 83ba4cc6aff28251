"""The streams of MNIST and FashionMNIST that the literature compares on, held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from avalanche.benchmarks import (
    CLScenario,
    NCScenario,
    benchmark_from_datasets,
    nc_benchmark,
    with_classes_timeline,
    with_task_labels,
)
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute, TaskLabels
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import TensorDataset

from avalanche_hsf.benchmarks.classes import N_CLASSES, class_order, classes_per_experience
from avalanche_hsf.benchmarks.idx import SIDE, images_of
from avalanche_hsf.benchmarks.pixels import PermutedPixels
from avalanche_hsf.checks import check_bool, check_int, shown

Pair = tuple[Tensor, Tensor]


def SplitMNIST(
    n_experiences: int = 5,
    *,
    return_task_id: bool = True,
    seed: int | None = None,
    fixed_class_order: Sequence[int] | None = None,
    shuffle: bool = True,
    validation: float = 0,
    dataset_root: str | Path | None = None,
    download: bool = False,
) -> NCScenario:
    """The handwritten digits of MNIST, each class in one experience.

    Avalanche's `SplitMNIST` with its arguments and its order of the classes, but of tensors, so
    that `InMemoryLoadingPlugin` can serve it, not normalised, and never downloaded unasked. The
    published protocol is `shuffle=False`: 0 and 1, then 2 and 3, and so on.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits" (1998); as a
    stream F. Zenke, B. Poole, S. Ganguli, https://arxiv.org/abs/1703.04200

    Args:
        n_experiences: Number of experiences, 1 to 10. Where it does not divide 10, the first
            experiences have one class more.
        return_task_id: True gives experience i the task label i (task-incremental); False gives
            all of them the label 0 (class-incremental). Avalanche's has False by default.
        seed: Shuffles the order of the classes, and nothing else. Default: the order that torch's
            global generator is about to draw; it is read, not moved.
        fixed_class_order: The ten classes in the order wanted; `seed` and `shuffle` are ignored.
        shuffle: False keeps the order 0 to 9.
        validation: To choose hyperparameters without the test images: the last images of each class
            of the training files become the test stream instead, and are not trained on. A share
            above 0 and below 1 of each class, or a whole number of images of each class; 0: none.
        dataset_root: Folder in which `MNIST/raw` has the four files. Default: what the environment
            variable AVALANCHE_HSF_DATA names, else Avalanche's.
        download: Whether to download what is missing.

    Returns:
        An `NCScenario` with items `[x, y, t]`: x of shape (1, 28, 28), float32 in [0, 1], y the
        class, t the task label. 60,000 training and 10,000 test images.

    Raises:
        TypeError, ValueError: An argument is out of its range, a file is damaged, or it cannot be
            downloaded.
        FileNotFoundError: A file is missing.

    Example:
        >>> benchmark = SplitMNIST(5, shuffle=False)  # doctest: +SKIP
        >>> experience = benchmark.train_stream[1]  # doctest: +SKIP
        >>> experience.classes_in_this_experience, len(experience.dataset)  # doctest: +SKIP
        ([2, 3], 12089)
    """
    order = class_order(fixed_class_order, shuffle, seed)
    files = dataset_root, download
    return _split("MNIST", n_experiences, return_task_id, order, validation, *files)


def SplitFMNIST(
    n_experiences: int = 5,
    *,
    return_task_id: bool = True,
    seed: int | None = None,
    fixed_class_order: Sequence[int] | None = None,
    shuffle: bool = True,
    validation: float = 0,
    dataset_root: str | Path | None = None,
    download: bool = False,
) -> NCScenario:
    """The articles of clothing of FashionMNIST, each class in one experience.

    All else is as in `SplitMNIST`; the files are in `FashionMNIST/raw`.

    Source: H. Xiao, K. Rasul, R. Vollgraf, https://arxiv.org/abs/1708.07747
    """
    order = class_order(fixed_class_order, shuffle, seed)
    files = dataset_root, download
    return _split("FashionMNIST", n_experiences, return_task_id, order, validation, *files)


def PermutedMNIST(
    n_experiences: int = 10,
    *,
    return_task_id: bool = True,
    seed: int = 0,
    padding: int = 0,
    validation: float = 0,
    dataset_root: str | Path | None = None,
    download: bool = False,
) -> CLScenario:
    """All of MNIST in each experience, with the pixels of its images in an order of its own.

    The orders are those of Avalanche's `PermutedMNIST` with the same seed: experience t takes the
    t-th that `numpy.random.RandomState(seed)` draws, so a longer stream starts with a shorter one,
    and the first experience is permuted too. The images are kept once, as bytes: 47 MB however many
    experiences there are (60,000 images as float32: 188 MB each). Who trains on several experiences
    at once, such as Cumulative, reads all of them.

    Source: I. Goodfellow et al., https://arxiv.org/abs/1312.6211; the padding J. von Oswald et al.,
    https://arxiv.org/abs/1906.00695

    Args:
        n_experiences: Number of permutations, at least 1. Each experience has all ten classes.
        return_task_id: True gives experience t the task label t (task-incremental); False gives
            all of them the label 0 (domain-incremental). Avalanche's has False by default.
        seed: Which permutations, 0 to 2^32 - 1.
        padding: Black pixels put around each image before it is permuted, 0 to 100; 2 in von Oswald
            et al., for 32 x 32 = 1,024 pixels.
        validation, dataset_root, download: See `SplitMNIST`.

    Returns:
        A `CLScenario` with items `[x, y, t]`: x of shape (1, 28 + 2 padding, 28 + 2 padding),
        float32 in [0, 1], y the digit, t the task label.

    Raises:
        TypeError, ValueError, FileNotFoundError: See `SplitMNIST`.

    Example:
        >>> benchmark = PermutedMNIST(10, padding=2)  # doctest: +SKIP
        >>> benchmark.train_stream[9].dataset[0][0].shape  # doctest: +SKIP
        torch.Size([1, 32, 32])
    """
    n = check_int("n_experiences", n_experiences, at_least=1, at_most=100_000)
    check_bool("return_task_id", return_task_id)
    seed = check_int("seed", seed, at_least=0, at_most=2**32 - 1)
    padding = check_int("padding", padding, at_least=0, at_most=100)
    both = _train_and_test("MNIST", validation, dataset_root, download)
    generator = np.random.RandomState(seed)
    n_pixels = (SIDE + 2 * padding) ** 2
    orders = [torch.from_numpy(generator.permutation(n_pixels)) for _ in range(n)]
    labels = range(n) if return_task_id else [0] * n
    streams = {}
    for name, (x, y) in zip(("train", "test"), both, strict=True):
        x = pad(x, (padding,) * 4)
        targets = DataAttribute(y.tolist(), "targets")  # one for all: its caches are of 60,000
        streams[name] = [
            AvalancheDataset(
                [PermutedPixels(x, y, order)],
                data_attributes=[targets, TaskLabels(ConstantSequence(label, len(x)))],
            )
            for order, label in zip(orders, labels, strict=True)
        ]
    return with_task_labels(with_classes_timeline(benchmark_from_datasets(**streams)))


def _split(
    name: str,
    n_experiences: int,
    return_task_id: bool,
    order: list[int],
    validation: float,
    root: str | Path | None,
    download: bool,
) -> NCScenario:
    sizes = classes_per_experience(n_experiences)
    check_bool("return_task_id", return_task_id)
    both = _train_and_test(name, validation, root, download)
    train, test = (TensorDataset(x.unsqueeze(1).float().div_(255), y) for x, y in both)
    return nc_benchmark(
        train,
        test,
        n_experiences,
        return_task_id,
        # Given a seed instead, Avalanche would seed torch's global generators with it.
        fixed_class_order=order,
        per_exp_classes=sizes,
    )


def _train_and_test(
    name: str, validation: float, root: str | Path | None, download: bool
) -> tuple[Pair, Pair]:
    """Bytes of the images and classes; without the test files where there is a validation."""
    _check_validation(validation)
    x, y = _whole(name, "training", images_of(name, train=True, root=root, download=download))
    if not validation:
        return (x, y), _whole(name, "test", images_of(name, train=False, root=root))
    is_held = torch.zeros(len(y), dtype=torch.bool)
    for digit in range(N_CLASSES):
        (places,) = (y == digit).nonzero(as_tuple=True)
        n = round(validation * len(places)) if validation < 1 else int(validation)
        if not 0 < n < len(places):
            raise ValueError(
                f"validation must leave images to train on and to validate on, got {validation}, "
                f"{n} of the {len(places)} of class {digit}"
            )
        is_held[places[-n:]] = True
    return (x[~is_held], y[~is_held]), (x[is_held], y[is_held])


def _check_validation(validation: float) -> None:
    if isinstance(validation, bool) or not isinstance(validation, Real):
        raise TypeError(f"validation must be a number, got {shown(validation)}")
    if not (0 <= validation < 1 or (validation >= 1 and float(validation).is_integer())):
        raise ValueError(
            "validation must be a share from 0 to below 1, or a whole number of images of each "
            f"class, got {validation}"
        )


def _whole(name: str, part: str, pair: Pair) -> Pair:
    """ValueError if a class has no images, which Avalanche would say less clearly."""
    missing = sorted(set(range(N_CLASSES)) - set(pair[1].unique().tolist()))
    if missing:
        raise ValueError(
            f"the {part} files of {name} must hold all classes 0 to 9, and lack {missing}: put "
            "whole ones there"
        )
    return pair
