"""Every test starts from the same seed, on one thread; small files in the layout of MNIST's."""

import struct

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _same_start():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def write_files(root, name="MNIST", *, n_train=200, n_test=50):
    """The four files of a data set whose classes are easily told: a bright bar in a place each."""
    raw = root / name / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for part, n in (("train", n_train), ("t10k", n_test)):
        classes = generator.permutation(np.arange(n, dtype=np.uint8) % 10)
        images = generator.integers(0, 100, (n, 28, 28), dtype=np.uint8)
        for image, c in zip(images, classes, strict=True):
            image[2 * c + 4 : 2 * c + 6] = 255
        head = struct.pack(">4I", 2051, n, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">2I", 2049, n)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + classes.tobytes())
    return root


@pytest.fixture(scope="session")
def _data_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in ("MNIST", "FashionMNIST"):
        write_files(root, name)
    return root


@pytest.fixture
def data_root(_data_folder, monkeypatch):
    """A folder with both data sets, small, which is not to be changed, where they are looked for"""
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(_data_folder))
    return _data_folder


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """A folder of MNIST's files that a test may damage; they are not looked for there."""
    monkeypatch.setenv("AVALANCHE_HSF_DATA", str(tmp_path / "nowhere"))
    return write_files(tmp_path / "own")
