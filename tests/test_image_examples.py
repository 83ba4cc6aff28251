"""The examples on MNIST and CIFAR run on small files in the originals' format.

The originals cannot be part of the tests. Files this small cannot have their checksums, so the
tests put other ones in torchvision's lists; what reads, checks and unpacks is torchvision's own.
"""

import gzip
import hashlib
import importlib
import math
import pickle
import runpy
import shutil
import struct
import sys
import tarfile
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from avalanche.benchmarks.datasets import dataset_utils
from avalanche.training import Naive
from torchvision.datasets import CIFAR10, CIFAR100, MNIST

EXAMPLES = Path(__file__).parents[1] / "examples"
DATASETS = {
    "split-mnist": MNIST,
    "permuted-mnist": MNIST,
    "split-cifar10": CIFAR10,
    "split-cifar100": CIFAR100,
}


@pytest.fixture(autouse=True)
def requested(monkeypatch):
    """What would have been asked of the network, which there is none of."""
    urls = []

    def urlopen(request, *args, **kwargs):
        urls.append(request.full_url)
        raise URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return urls


def write(dataset, root, monkeypatch, *, n_train, n_test):
    """Files of a data set with so many images of each class; returns their folder."""
    if dataset is MNIST:
        return _write_mnist(root, n_train, n_test)
    return _write_cifar(dataset, root, n_train, n_test, monkeypatch)


def _write_mnist(root, n_train, n_test):
    """A digit is a bright square, somewhere else for each digit."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", n_train), ("t10k", n_test)):
        digits = np.tile(np.arange(10, dtype=np.uint8), n)
        images = rng.integers(0, 60, (len(digits), 28, 28), dtype=np.uint8)
        for image, digit in zip(images, digits, strict=True):
            row, column = divmod(int(digit), 4)
            image[9 * row : 9 * row + 7, 7 * column : 7 * column + 7] += 180
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">4i", 2051, *images.shape) + images.tobytes()
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2i", 2049, len(digits)) + digits.tobytes()
        )
    return folder


def _write_cifar(dataset, root, n_train, n_test, monkeypatch):
    """A class is a colour, which crops and mirror images leave alone."""
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    n_classes, kind = (10, "") if dataset is CIFAR10 else (100, "fine_")
    levels = math.ceil(n_classes ** (1 / 3))
    steps = np.stack(np.unravel_index(np.arange(n_classes), (levels,) * 3), axis=1)
    colours = steps * (220 // (levels - 1)) + 10

    def save(name, content):
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        return _md5(folder / name)

    for attribute, n in (("train_list", n_train), ("test_list", n_test)):
        names = [name for name, _ in getattr(dataset, attribute)]
        checksums = []
        for k in range(len(names)):
            labels = np.tile(np.arange(n_classes), n)[k :: len(names)]
            noise = rng.integers(-8, 9, (len(labels), 3, 1024))
            data = (colours[labels][:, :, None] + noise).astype(np.uint8)
            content = {"data": data.reshape(-1, 3072), f"{kind}labels": labels.tolist()}
            checksums.append([names[k], save(names[k], content)])
        monkeypatch.setattr(dataset, attribute, checksums)
    names = {dataset.meta["key"]: [f"class {k}" for k in range(n_classes)]}
    md5 = save(dataset.meta["filename"], names)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5})
    return folder


def _md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _pack(dataset, root, folder, monkeypatch):
    """Replaces the files by the archives they come in."""
    if dataset is MNIST:
        resources = []
        for name, _ in MNIST.resources:
            file = folder / name.removesuffix(".gz")
            (folder / name).write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
            resources.append((name, _md5(folder / name)))
        monkeypatch.setattr(MNIST, "resources", resources)
        return
    with tarfile.open(root / dataset.filename, "w:gz") as archive:
        archive.add(folder, dataset.base_folder)
    shutil.rmtree(folder)
    monkeypatch.setattr(dataset, "tgz_md5", _md5(root / dataset.filename))


def _run(name, *arguments, monkeypatch):
    """As from the command line; returns the names in the script."""
    monkeypatch.setattr(sys, "argv", ["real_images.py", name, *map(str, arguments)])
    return runpy.run_path(str(EXAMPLES / "real_images.py"), run_name="__main__")


def _matrix(results, metric):
    """Row k: the value on each task after task k. By their names, experience t is task t."""
    names = [f"{metric}/eval_phase/test_stream/Task{t:03d}/Exp{t:03d}" for t in range(len(results))]
    return [[after[name] for name in names[: k + 1]] for k, after in enumerate(results)]


@pytest.mark.parametrize(
    ("name", "epochs", "n_images", "n_experiences", "n_classes"),
    [
        ("split-mnist", 3, 24, 5, 2),
        ("permuted-mnist", 3, 24, 10, 10),
        ("split-cifar10", 10, 24, 5, 2),
        pytest.param("split-cifar100", 4, 10, 20, 5, marks=pytest.mark.slow),
    ],
)
def test_learns_every_task_and_forgets_none(
    name, epochs, n_images, n_experiences, n_classes, tmp_path, monkeypatch
):
    write(DATASETS[name], tmp_path, monkeypatch, n_train=n_images, n_test=4)
    results = importlib.import_module("real_images").main(name, tmp_path, train_epochs=epochs)
    assert len(results) == n_experiences
    accuracy, loss = _matrix(results, "Top1_Acc_Exp"), _matrix(results, "Loss_Exp")
    for k in range(1, n_experiences):
        assert accuracy[k][:k] == accuracy[k - 1]
        assert loss[k][:k] == pytest.approx(loss[k - 1], rel=1e-4, abs=1e-6)
    assert results[-1]["StreamForgetting/eval_phase/test_stream"] == 0
    assert np.mean(accuracy[-1]) > 1.5 / n_classes


@pytest.mark.parametrize("name", DATASETS)
def test_without_files_it_says_which_where_and_how(name, tmp_path, requested, monkeypatch):
    with pytest.raises(SystemExit) as exit_:
        _run(name, "--dataset-root", tmp_path / "data", monkeypatch=monkeypatch)
    message = str(exit_.value)
    folder, source = {
        MNIST: ("MNIST/raw", "mnist/t10k-labels-idx1-ubyte.gz"),
        CIFAR10: ("cifar-10-batches-py", "cs.toronto.edu/~kriz/cifar-10-python.tar.gz"),
        CIFAR100: ("cifar-100-python", "cs.toronto.edu/~kriz/cifar-100-python.tar.gz"),
    }[DATASETS[name]]
    assert f"is not in {tmp_path / 'data' / folder}" in message
    assert "--download" in message
    assert source in message
    assert requested == []
    assert list(tmp_path.iterdir()) == []


def test_without_a_root_it_looks_where_avalanche_does(tmp_path, monkeypatch):
    monkeypatch.setitem(dataset_utils.AVALANCHE_CONFIG, "dataset_location", str(tmp_path))
    with pytest.raises(SystemExit, match=f"{tmp_path}/cifar10/cifar-10-batches-py"):
        _run("split-cifar10", monkeypatch=monkeypatch)


@pytest.mark.parametrize("dataset", [MNIST, CIFAR10, CIFAR100])
def test_download_unpacks_archives_that_are_there(dataset, tmp_path, requested, monkeypatch):
    folder = write(dataset, tmp_path, monkeypatch, n_train=1, n_test=1)
    files = sorted(folder.iterdir())
    _pack(dataset, tmp_path, folder, monkeypatch)
    find_files = importlib.import_module("_image_files").find_files
    with pytest.raises(SystemExit):
        find_files(dataset, tmp_path, download=False)
    assert find_files(dataset, tmp_path, download=True) == tmp_path
    assert set(files) <= set(folder.iterdir())
    assert requested == []


@pytest.mark.parametrize("name", ["split-mnist", "split-cifar100"])
def test_a_failed_download_is_no_traceback(name, tmp_path, requested, monkeypatch):
    with pytest.raises(SystemExit, match="no network in tests"):
        _run(name, "--dataset-root", tmp_path, "--download", monkeypatch=monkeypatch)
    assert requested


@pytest.mark.parametrize(
    ("dataset", "file"),
    [(MNIST, "t10k-images-idx3-ubyte"), (CIFAR100, "test"), (CIFAR10, "batches.meta")],
)
def test_a_damaged_file_is_no_traceback(dataset, file, tmp_path, requested, monkeypatch):
    path = write(dataset, tmp_path, monkeypatch, n_train=1, n_test=1) / file
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SystemExit, match="cannot be used"):
        importlib.import_module("_image_files").find_files(dataset, tmp_path, download=False)
    assert requested == []


def test_options_reach_the_example(tmp_path, capsys, monkeypatch):
    write(MNIST, tmp_path, monkeypatch, n_train=1, n_test=1)
    train_epochs = []
    monkeypatch.setattr(Naive, "train", lambda self, *_: train_epochs.append(self.train_epochs))
    monkeypatch.setattr(Naive, "eval", lambda *_: {})
    with pytest.raises(ValueError, match="there is no evaluation"):
        _run(
            *("split-mnist", "--dataset-root", tmp_path, "--train-epochs", 7),
            monkeypatch=monkeypatch,
        )
    assert train_epochs == [7] * 5


def test_data_that_are_not_there_are_named(monkeypatch, tmp_path):
    script = str(EXAMPLES / "draw_old_tasks.py")
    monkeypatch.setattr(sys, "argv", [script, "--data-root", str(tmp_path / "none")])
    with pytest.raises(FileNotFoundError, match="MNIST needs the file"):
        runpy.run_path(script, run_name="__main__")
