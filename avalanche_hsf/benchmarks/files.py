"""The files of MNIST and FashionMNIST: where they lie, and whether they are whole.

Nothing here imports torch or Avalanche, unless something is to be downloaded.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avalanche_hsf._home import dataset_location
from avalanche_hsf.checks import check_bool, check_choice, check_path

DATA_ROOT = "AVALANCHE_HSF_DATA"
"""Environment variable with the folder of data sets, for those who give no `dataset_root`."""

DATASETS = {"MNIST": "mnist", "FashionMNIST": "fashionmnist"}
"""Folder of a data set in torchvision's layout, with Avalanche's name of it."""

SIDE = 28
IMAGES, CLASSES = 2051, 2049  # the magic numbers of bytes in three dimensions and in one


def check_files(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = False,
    parts: tuple[str, ...] = ("train", "t10k"),
) -> None:
    """Raises FileNotFoundError or ValueError, in a sentence, unless all files are there and whole.

    Looks at their first bytes and their sizes; arguments as of `images_of`.
    """
    check_choice("data set", name, DATASETS)
    folder = root_of(name, root)
    if check_bool("download", download) and _missing(name, folder, parts):
        _download(name, folder)
    for path in _missing(name, folder, parts):
        raise FileNotFoundError(
            f"{name} needs the file {path.name}, which is not in {path.parent}: give the folder "
            f"above {name}/raw as dataset_root (--data-root), or ask for download=True (--download)"
        )
    for part in parts:
        images, classes = paths_of(name, folder, part)
        n_images, n_classes = _count(images, IMAGES), _count(classes, CLASSES)
        if n_images != n_classes:
            why = f"it has {n_classes} classes for the {n_images} images of {images.name}"
            raise ValueError(damaged(classes, why))


@contextmanager
def data_at(root: str | Path | None) -> Iterator[None]:
    """Within it, data sets are looked for in a folder, here and in new processes; None: as before.

    >>> with data_at("/data"):
    ...     os.environ[DATA_ROOT]
    '/data'
    """
    if root is None:
        yield
        return
    before = os.environ.get(DATA_ROOT)
    os.environ[DATA_ROOT] = os.path.abspath(check_path("the data root", root))
    try:
        yield
    finally:
        os.environ.pop(DATA_ROOT)
        if before is not None:
            os.environ[DATA_ROOT] = before


def root_of(name: str, root: str | Path | None) -> Path:
    if root is None:
        root = os.environ.get(DATA_ROOT) or dataset_location(DATASETS[name])
    return check_path("dataset_root", root).expanduser()


def paths_of(name: str, root: Path, part: str) -> tuple[Path, Path]:
    raw = root / name / "raw"
    return raw / f"{part}-images-idx3-ubyte", raw / f"{part}-labels-idx1-ubyte"


def _missing(name: str, root: Path, parts: tuple[str, ...]) -> list[Path]:
    return [path for part in parts for path in paths_of(name, root, part) if not path.is_file()]


def _download(name: str, root: Path) -> None:
    from torchvision import datasets

    kind: Any = getattr(datasets, name)
    try:
        kind(str(root), download=True)
    except (OSError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"{name} could not be downloaded into {root}: {why}; put its four files into "
            f"{root / name / 'raw'}"
        ) from error


def _count(path: Path, magic: int) -> int:
    """The number of items that a file holds, from its head and its size."""
    n_dims = 3 if magic == IMAGES else 1
    with path.open("rb") as file:
        head = file.read(4 + 4 * n_dims)
    if len(head) < 4 + 4 * n_dims:
        raise ValueError(damaged(path, f"it ends after {len(head)} bytes"))
    found, n, *shape = struct.unpack(f">{1 + n_dims}I", head)
    if found != magic:
        raise ValueError(damaged(path, f"it begins with {found} instead of {magic}"))
    if shape and shape != [SIDE, SIDE]:
        raise ValueError(damaged(path, f"its images are {shape[0]} x {shape[1]}, not 28 x 28"))
    expected, size = len(head) + n * SIDE ** len(shape), path.stat().st_size
    if size != expected:
        raise ValueError(damaged(path, f"it has {size} bytes where its {n} items make {expected}"))
    if n == 0:
        raise ValueError(damaged(path, "it holds no items"))
    return n


def damaged(path: Path, why: str) -> str:
    return (
        f"{path} is damaged, {why}: delete it and ask for download=True (--download), or put a "
        "whole one there"
    )
