"""Synthetic colour images: a classification stream large enough for a CNN, no download."""

from __future__ import annotations

import torch
from avalanche.benchmarks import CLScenario, tensors_benchmark
from torch import Tensor
from torch.nn.functional import interpolate

from avalanche_hsf.checks import (
    LARGEST_SEED,
    check_int,
    check_memory,
    check_non_negative,
    check_size,
)

PATCH = 12
"""Height and width of a texture's patch in an image."""


def SyntheticImages(
    n_experiences: int = 10,
    *,
    n_classes: int = 10,
    n_train: int = 500,
    n_test: int = 200,
    size: int = 32,
    noise: float = 0.3,
    seed: int = 0,
) -> CLScenario:
    """Tasks of telling textures apart, with different textures per task for the same labels.

    A class of a task is a smooth random colour texture. A sample shows a square patch of it,
    flipped at random, at a random place on a grey ground, under Gaussian noise: the texture has
    to be recognised wherever it is. All tasks use the labels 0 to n_classes - 1, so they
    conflict, and only the task label says which textures are meant.

    Source: this package's.

    Args:
        n_experiences: Number of tasks, at least 1; experience t has the task label t.
        n_classes: Classes of each task, at least 2.
        n_train: Training images per task, at least n_classes.
        n_test: Test images per task, at least n_classes.
        size: Height and width of the images, at least 12.
        noise: Standard deviation of the noise, in units of the texture's, at least 0.
        seed: Which stream, at least 0. Task t depends on `(seed, t)` alone.

    Returns:
        A `CLScenario` with items `[x, y, t]`: x of shape (3, size, size), float32, y the class.

    Raises:
        TypeError, ValueError: An argument is out of its range.

    Example:
        >>> benchmark = SyntheticImages(2, n_train=20, n_test=10)
        >>> experience = benchmark.train_stream[1]
        >>> experience.dataset[0][0].shape, experience.task_label
        (torch.Size([3, 32, 32]), 1)
    """
    check_int("n_experiences", n_experiences, at_least=1, at_most=100_000)
    check_size("n_classes", n_classes, at_least=2)
    check_size("n_train", n_train, at_least=n_classes)
    check_size("n_test", n_test, at_least=n_classes)
    check_size("size", size, at_least=PATCH)
    check_memory("the images", 3 * size**2 * (n_train + n_test) * n_experiences)
    seed = check_int("seed", seed, at_least=0, at_most=LARGEST_SEED // 100_003)
    noise = check_non_negative("noise", noise)
    train: list[tuple[Tensor, Tensor]] = []
    test: list[tuple[Tensor, Tensor]] = []
    for task in range(n_experiences):
        generator = torch.Generator().manual_seed(seed * 100_003 + task)
        coarse = torch.randn(n_classes, 3, 4, 4, generator=generator)
        textures = interpolate(coarse, size=PATCH, mode="bicubic", align_corners=True)
        textures = textures / textures.std(dim=(1, 2, 3), keepdim=True)
        for stream, n in ((train, n_train), (test, n_test)):
            y = torch.arange(n) % n_classes
            stream.append((_images(textures[y], size, noise, generator), y))
    labels = list(range(n_experiences))
    return tensors_benchmark(train_tensors=train, test_tensors=test, task_labels=labels)


def _images(patches: Tensor, size: int, noise: float, generator: torch.Generator) -> Tensor:
    n = len(patches)
    flipped = torch.rand(n, generator=generator) < 0.5
    patches = torch.where(flipped.view(n, 1, 1, 1), patches.flip(3), patches)
    x = noise * torch.randn(n, 3, size, size, generator=generator)
    corner = torch.randint(0, size - PATCH + 1, (n, 2), generator=generator)
    for image, patch, (row, column) in zip(x, patches, corner.tolist(), strict=True):
        image[:, row : row + PATCH, column : column + PATCH] += patch
    return x
