"""SplitMNIST, SplitFMNIST and PermutedMNIST: the published streams, from files, in memory."""

import os
from collections import Counter

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils.data_loader import TaskBalancedDataLoader
from torch.utils.data import ConcatDataset

from avalanche_hsf.benchmarks import PermutedMNIST, SplitFMNIST, SplitMNIST
from avalanche_hsf.benchmarks.files import DATA_ROOT, check_files
from avalanche_hsf.benchmarks.idx import images_of
from avalanche_hsf.training.loading.in_memory import _InMemoryLoader, in_memory

ALL = [SplitMNIST, SplitFMNIST, PermutedMNIST]


def pairs(stream):
    """Each image, as bytes, with its class."""
    return Counter((x.numpy().tobytes(), int(y)) for e in stream for x, y, _ in e.dataset)


def originals(name, *, train):
    x, y = images_of(name, train=train)
    scaled = (x.float() / 255).numpy()
    return Counter((image.tobytes(), int(c)) for image, c in zip(scaled, y, strict=True))


@pytest.mark.parametrize(("make", "name"), [(SplitMNIST, "MNIST"), (SplitFMNIST, "FashionMNIST")])
def test_each_image_is_in_the_experience_of_its_class(make, name, data_root):
    benchmark = make(shuffle=False)
    assert pairs(benchmark.train_stream) == originals(name, train=True)
    assert pairs(benchmark.test_stream) == originals(name, train=False)
    assert benchmark.classes_order == list(range(10))
    for i, experience in enumerate(benchmark.train_stream):
        assert experience.classes_in_this_experience == [2 * i, 2 * i + 1]
        assert set(experience.dataset.targets) == {2 * i, 2 * i + 1}
        assert experience.task_label == benchmark.test_stream[i].task_label == i
        assert len(experience.previous_classes) == 2 * i
        x, y, t = experience.dataset[0]
        assert (x.dtype, x.shape, t) == (torch.float32, (1, 28, 28), i)
        assert x.max() == 1 and y == experience.dataset.targets[0]


@pytest.mark.parametrize("make", ALL)
def test_without_task_ids_all_labels_are_zero(make, data_root):
    benchmark = make(return_task_id=False)
    for stream in (benchmark.train_stream, benchmark.test_stream):
        assert {t for e in stream for _, _, t in e.dataset} == {0}
        assert {e.task_label for e in stream} == {0}


def test_the_order_is_that_of_avalanche(data_root):
    torch.manual_seed(3)
    assert SplitMNIST(seed=3).classes_order == torch.randperm(10).tolist()
    order = [9, 1, 8, 2, 7, 3, 6, 4, 5, 0]
    assert SplitMNIST(3, fixed_class_order=order).classes_order == order


@pytest.mark.parametrize("padding", [0, 2])
def test_permutations_are_those_of_avalanche(padding, data_root):
    """And of all images of an experience the same, of the test images too."""
    benchmark = PermutedMNIST(3, seed=5, padding=padding)
    generator, side = np.random.RandomState(5), 28 + 2 * padding
    for train, test in zip(benchmark.train_stream, benchmark.test_stream, strict=True):
        order = torch.from_numpy(generator.permutation(side**2))
        for experience, is_train in ((train, True), (test, False)):
            images, classes = images_of("MNIST", train=is_train)
            padded = torch.zeros(len(images), side, side)
            padded[:, padding : 28 + padding, padding : 28 + padding] = images.float() / 255
            x = torch.stack([item[0] for item in experience.dataset])
            assert torch.equal(x.flatten(1), padded.flatten(1)[:, order])
            assert [int(item[1]) for item in experience.dataset] == classes.tolist()
            assert list(experience.dataset.targets) == classes.tolist()
            assert experience.classes_in_this_experience == set(range(10))


def test_permuted_images_are_kept_once(data_root):
    stream = PermutedMNIST(50).train_stream
    flat = [experience.dataset._flat_data for experience in stream]
    while hasattr(flat[0], "_datasets"):
        flat = [each._datasets[0] for each in flat]
    assert len({each.images.data_ptr() for each in flat}) == 1
    assert flat[0].images.dtype == torch.uint8


@pytest.mark.parametrize("make", ALL)
def test_validation_images_come_from_the_training_files(make, own_data):
    """Test images are never read: the stream is made where there are none."""
    if make is SplitFMNIST:
        (own_data / "MNIST").rename(own_data / "FashionMNIST")
    for path in own_data.glob("*/raw/t10k*"):
        path.unlink()
    arguments = {"n_experiences": 2, "dataset_root": own_data}
    benchmark = make(**arguments, validation=0.1)
    for experience in benchmark.test_stream:
        n_per_class = set(Counter(map(int, experience.dataset.targets)).values())
        assert n_per_class == {2}  # of 20
    parts = []
    for share in (0.1, 0.3):
        benchmark = make(**arguments, validation=share)
        train, held = pairs(benchmark.train_stream), pairs(benchmark.test_stream)
        assert not train & held
        parts.append((held, train + held))
    assert parts[0][0] < parts[1][0]
    assert parts[0][1] == parts[1][1]
    assert len(make(**arguments, validation=3).test_stream[0].dataset) in (15, 30)
    with pytest.raises(FileNotFoundError, match="t10k-images-idx3-ubyte"):
        make(**arguments)


def test_validation_images_are_those_of_any_seed(data_root):
    held = [pairs(SplitMNIST(2, seed=seed, validation=0.2).test_stream) for seed in (1, 2)]
    assert held[0] == held[1]


@pytest.mark.parametrize("make", ALL)
def test_in_memory_loading_takes_them(make, data_root):
    """Minibatches to the bit, of one experience and of the rest of several."""
    benchmark = make(2, seed=1)
    first, second = (experience.dataset for experience in benchmark.train_stream)
    mixed = first.subset([7, 3, 5]).concat(second).concat(first.subset([1]))
    for dataset in (first, second.subset([4, 2, 2, 9]), mixed):
        loader = TaskBalancedDataLoader(dataset, batch_size=16, shuffle=True)
        fast = in_memory(loader)
        assert isinstance(fast, _InMemoryLoader)
        torch.manual_seed(1)
        expected = list(loader)
        torch.manual_seed(1)
        for ours, theirs in zip(fast, expected, strict=True):
            assert all(
                a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)
            )


def test_global_generators_are_left_alone(data_root):
    before = torch.get_rng_state(), str(np.random.get_state())
    for make in ALL:
        make(2, seed=1, validation=0.1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == str(np.random.get_state())


def damaged(path, change):
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("train-images-idx3-ubyte", lambda b: b[:-1], "it has 156815 bytes where its 200 items"),
        ("train-images-idx3-ubyte", lambda b: b[:9], "it ends after 9 bytes"),
        ("train-images-idx3-ubyte", lambda b: b + b"0", "it has 156817 bytes where"),
        ("train-images-idx3-ubyte", lambda b: b"\x1f\x8b" + b[2:], "it begins with .* of 2051"),
        ("train-images-idx3-ubyte", lambda b: b[:15] + b"\x1d" + b[16:], "28 x 29, not 28 x 28"),
        ("train-labels-idx1-ubyte", lambda b: b[:7] + b"\x07" + b[8:15], "7 classes for the 200"),
        ("train-labels-idx1-ubyte", lambda b: b[:8] + b"\x0a" + b[9:], "the class 10 of 0 to 9"),
        ("t10k-labels-idx1-ubyte", lambda b: b"", "it ends after 0 bytes"),
    ],
)
def test_damaged_files(file, change, message, own_data):
    path = own_data / "MNIST" / "raw" / file
    damaged(path, change)
    for make in (SplitMNIST, PermutedMNIST):
        with pytest.raises(ValueError, match=f"{file} is damaged, .*{message}") as caught:
            make(dataset_root=own_data)
        assert "--download" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_are_named_with_the_cure(own_data, tmp_path):
    (own_data / "MNIST" / "raw" / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        SplitMNIST(dataset_root=own_data)
    for words in ("train-labels-idx1-ubyte", str(own_data / "MNIST" / "raw"), "download=True"):
        assert words in str(caught.value)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "nowhere" / "FashionMNIST")):
        SplitFMNIST()  # where the environment says


def test_the_default_folder_is_avalanches(monkeypatch, tmp_path):
    monkeypatch.delenv(DATA_ROOT, raising=False)
    monkeypatch.setattr("avalanche_hsf.benchmarks.files.dataset_location", tmp_path.joinpath)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "fashionmnist" / "FashionMNIST")):
        SplitFMNIST()


def test_it_downloads_only_what_is_asked_for(monkeypatch, own_data, tmp_path):
    calls = []

    def fails(root, *, download):
        calls.append((root, download))
        raise RuntimeError("no\nnetwork")

    monkeypatch.setattr("torchvision.datasets.MNIST", fails)
    SplitMNIST(dataset_root=own_data, download=True)  # there is nothing to download
    with pytest.raises(FileNotFoundError):
        SplitMNIST(dataset_root=tmp_path)
    assert calls == []
    with pytest.raises(ValueError, match=r"MNIST could not be downloaded into .*: no network; put"):
        SplitMNIST(dataset_root=tmp_path, download=True)
    assert calls == [(str(tmp_path), True)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_experiences": 11}, ValueError, "n_experiences must be at most 10.*got 11"),
        ({"return_task_id": 1}, TypeError, "return_task_id must be True or False, got 1"),
        ({"shuffle": "no"}, TypeError, "shuffle must be True or False, got 'no'"),
        ({"validation": "0.1"}, TypeError, "validation must be a number, got '0.1'"),
        ({"validation": -0.1}, ValueError, "share from 0 to below 1, or a whole .* got -0.1"),
        ({"validation": 1.5}, ValueError, "share from 0 to below 1, or a whole .* got 1.5"),
        ({"validation": float("nan")}, ValueError, "share from 0 .* got nan"),
        ({"validation": 20}, ValueError, "leave images to train on .* 20 of the 20 of class 0"),
        ({"validation": 0.001}, ValueError, "leave images .* got 0.001, 0 of the 20 of class 0"),
        ({"dataset_root": 3}, TypeError, "dataset_root must be a path, got 3"),
        ({"download": "yes"}, TypeError, "download must be True or False, got 'yes'"),
    ],
)
def test_bad_arguments(arguments, error, message, data_root):
    with pytest.raises(error, match=message):
        SplitMNIST(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_experiences": 0}, "n_experiences must be at least 1, got 0"),
        ({"padding": -1}, "padding must be at least 0, got -1"),
        ({"seed": 2**32}, "seed must be at most 4294967295"),
    ],
)
def test_bad_arguments_of_permutations(arguments, message, data_root):
    with pytest.raises(ValueError, match=message):
        PermutedMNIST(**arguments)


@pytest.mark.parametrize(("make", "name"), [(SplitMNIST, "MNIST"), (SplitFMNIST, "FashionMNIST")])
def test_the_real_images(make, name):
    try:
        check_files(name)
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(f"{error} ({DATA_ROOT}={os.environ.get(DATA_ROOT)})")
    benchmark = make(shuffle=False)
    train, test = (
        ConcatDataset([experience.dataset for experience in stream])
        for stream in (benchmark.train_stream, benchmark.test_stream)
    )
    assert (len(train), len(test)) == (60_000, 10_000)
    sizes = [len(experience.dataset) for experience in benchmark.train_stream]
    mnist = [12_665, 12_089, 11_263, 12_183, 11_800]
    assert sizes == (mnist if name == "MNIST" else [12_000] * 5)
