"""MNIST and FashionMNIST from files in torchvision's layout, checked before they are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avalanche_hsf.benchmarks.classes import N_CLASSES
from avalanche_hsf.benchmarks.files import (
    CLASSES,
    IMAGES,
    SIDE,
    check_files,
    damaged,
    paths_of,
    root_of,
)


def images_of(
    name: str, *, train: bool, root: str | Path | None = None, download: bool = False
) -> tuple[Tensor, Tensor]:
    """Images and classes of a data set, in the order of the files.

    Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits" (1998), also
    for the format; H. Xiao, K. Rasul, R. Vollgraf, https://arxiv.org/abs/1708.07747

    Args:
        name: "MNIST" or "FashionMNIST".
        train: True: its training images; False: its test images. The other files are not opened.
        root: Folder in which `<name>/raw` has the four files. Default: what the environment
            variable AVALANCHE_HSF_DATA names, else Avalanche's folder for that data set.
        download: Whether to download files that are missing, by torchvision.

    Returns:
        A `n x 28 x 28` tensor of bytes, and n classes from 0 to 9, int64.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged, or cannot be downloaded.
    """
    check_files(name, root=root, download=download, parts=("train" if train else "t10k",))
    images, classes = paths_of(name, root_of(name, root), "train" if train else "t10k")
    y = torch.from_numpy(_content(classes, CLASSES)).long()
    if len(y) and int(y.max()) >= N_CLASSES:
        raise ValueError(damaged(classes, f"it holds the class {int(y.max())} of 0 to 9"))
    return torch.from_numpy(_content(images, IMAGES).reshape(-1, SIDE, SIDE)), y


def _content(path: Path, magic: int) -> np.ndarray:
    return np.fromfile(path, dtype=np.uint8, offset=16 if magic == IMAGES else 8)
