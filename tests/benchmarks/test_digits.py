"""SplitDigits: real images, with Avalanche's bookkeeping of classes intact."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.models import MTSimpleMLP, SimpleMLP, as_multitask
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from sklearn.datasets import load_digits

from avalanche_hsf.benchmarks import SplitDigits


def images(stream):
    """Each image once, as bytes, with its class."""
    return {(x.numpy().tobytes(), y) for e in stream for x, y, _ in e.dataset}


def classes(stream):
    return [e.classes_in_this_experience for e in stream]


def test_items_are_image_class_and_task_label():
    benchmark = SplitDigits(5, shuffle=False)
    x, y, t = benchmark.train_stream[2].dataset[0]
    assert x.shape == (1, 8, 8)
    assert x.dtype == torch.float32
    assert (y, t) == (4, 2)
    pixels = torch.stack([x for e in benchmark.train_stream for x, _, _ in e.dataset])
    assert pixels.min() == 0
    assert pixels.max() == 1


def test_every_image_is_in_one_of_the_streams_once():
    benchmark = SplitDigits(5)
    train, test = images(benchmark.train_stream), images(benchmark.test_stream)
    digits = load_digits()
    original = np.float32(digits.images / 16).reshape(-1, 64)
    assert not train & test
    assert (len(train), len(test)) == (1437, 360)
    assert train | test == {
        (x.tobytes(), int(y)) for x, y in zip(original, digits.target, strict=True)
    }


@pytest.mark.parametrize("n_experiences", range(1, 11))
def test_every_class_is_in_one_experience(n_experiences):
    benchmark = SplitDigits(n_experiences, seed=1)
    split = classes(benchmark.train_stream)
    assert len(split) == n_experiences
    assert sorted(c for part in split for c in part) == list(range(10))
    sizes = [len(part) for part in split]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1
    for train, test in zip(benchmark.train_stream, benchmark.test_stream, strict=True):
        present = set(train.classes_in_this_experience)
        assert set(train.dataset.targets) == set(test.dataset.targets) == present
        assert train.task_label == test.task_label == train.current_experience
        assert {t for _, _, t in train.dataset} == {train.current_experience}
    assert [len(e.previous_classes) for e in benchmark.train_stream] == [
        sum(sizes[:i]) for i in range(n_experiences)
    ]


def test_without_task_ids_all_labels_are_zero():
    benchmark = SplitDigits(3, return_task_id=False)
    assert [e.task_labels for e in benchmark.train_stream] == [[0]] * 3
    assert {t for e in benchmark.test_stream for _, _, t in e.dataset} == {0}


def test_class_order():
    assert classes(SplitDigits(shuffle=False).train_stream) == [
        [0, 1], [2, 3], [4, 5], [6, 7], [8, 9]
    ]  # fmt: skip
    order = [9, 1, 8, 2, 7, 3, 6, 4, 5, 0]
    assert SplitDigits(fixed_class_order=order, seed=3).classes_order == order
    assert SplitDigits(fixed_class_order=np.array(order)).classes_order == order
    assert SplitDigits(seed=3).classes_order != SplitDigits(seed=4).classes_order


def test_the_order_is_that_of_splitmnist():
    """Which shuffles after `torch.manual_seed(seed)`, or in the state it finds."""
    torch.manual_seed(3)
    expected = torch.randperm(10).tolist()
    assert SplitDigits(seed=3).classes_order == expected
    torch.manual_seed(3)
    assert SplitDigits().classes_order == expected


@pytest.mark.parametrize("seed", [None, 3])
def test_global_generators_are_left_alone(seed):
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    before = states()
    SplitDigits(seed=seed)
    assert states() == before


def test_the_test_images_are_always_the_same():
    expected = images(SplitDigits(5, seed=0).test_stream)
    assert images(SplitDigits(3, seed=8, return_task_id=False).test_stream) == expected
    np.random.seed(1)
    assert images(SplitDigits(1, fixed_class_order=range(9, -1, -1)).test_stream) == expected
    # Over versions of scikit-learn, too: whoever publishes a number must find it again.
    index = {x.tobytes(): i for i, x in enumerate(np.float32(load_digits().images / 16))}
    assert sorted(index[x] for x, _ in expected)[:8] == [21, 24, 28, 34, 35, 37, 39, 42]


@pytest.mark.parametrize(
    ("test_size", "n_test"), [(0.2, 360), (0.5, 899), (0.01, 18), (0.99, 1780)]
)
def test_the_test_stream_is_stratified(test_size, n_test):
    benchmark = SplitDigits(10, test_size=test_size)
    test = Counter(y for e in benchmark.test_stream for y in e.dataset.targets)
    assert sum(test.values()) == n_test
    for digit, n in Counter(load_digits().target.tolist()).items():
        assert abs(test[digit] - n * test_size) <= 1
        assert 0 < test[digit] < n


@pytest.mark.parametrize("heads", ["one", "MTSimpleMLP", "as_multitask"])
def test_stock_avalanche_trains_on_it(heads):
    model = (MTSimpleMLP if heads == "MTSimpleMLP" else SimpleMLP)(input_size=64, hidden_size=128)
    if heads == "as_multitask":
        model = as_multitask(model, "classifier")
    benchmark = SplitDigits(5, seed=0)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        train_mb_size=32,
        train_epochs=5,
        eval_mb_size=128,
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True)),
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        metrics = strategy.eval(benchmark.test_stream)
    accuracy = [
        metrics[f"Top1_Acc_Exp/eval_phase/test_stream/Task00{i}/Exp00{i}"] for i in range(5)
    ]
    assert accuracy[4] > 0.8
    # One head for all classes forgets the first tasks; with a head for each, little is lost.
    before = sum(accuracy[:4]) / 4
    assert before < 0.3 if heads == "one" else before > 0.6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_experiences": 0}, ValueError, "n_experiences must be at least 1, got 0"),
        ({"n_experiences": 11}, ValueError, "n_experiences must be at most 10.*got 11"),
        ({"n_experiences": "5"}, TypeError, "n_experiences must be an integer, got '5'"),
        ({"n_experiences": True}, TypeError, "n_experiences must be an integer, got True"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 0.5}, TypeError, "seed must be an integer, got 0.5"),
        ({"fixed_class_order": range(9)}, ValueError, "each of the classes 0 to 9 once, got"),
        ({"fixed_class_order": range(1, 11)}, ValueError, "each of the classes 0 to 9 once, got"),
        ({"fixed_class_order": [0] * 10}, ValueError, "each of the classes 0 to 9 once, got"),
        ({"fixed_class_order": "0123456789"}, TypeError, "must be an integer, got '0'"),
        ({"fixed_class_order": 5}, TypeError, "fixed_class_order must be a list .* got 5"),
        ({"test_size": 0}, ValueError, "between 0.01 and 0.99, got 0"),
        ({"test_size": 360}, ValueError, "between 0.01 and 0.99, got 360"),
        ({"test_size": float("nan")}, ValueError, "between 0.01 and 0.99, got nan"),
        ({"test_size": "0.2"}, TypeError, "test_size must be a number, got '0.2'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        SplitDigits(**arguments)
