"""reconstruction_benchmark and SyntheticManifolds."""

import math

import numpy as np
import pytest
import torch
from avalanche.benchmarks import CLScenario

from avalanche_hsf.benchmarks import SyntheticManifolds, reconstruction_benchmark


def test_items_are_input_input_and_task_label():
    x = torch.randn(6, 1, 4, 4)
    benchmark = reconstruction_benchmark([x, x + 1], task_labels=[7, 3])
    assert isinstance(benchmark, CLScenario)
    experience = benchmark.train_stream[1]
    item_x, item_y, label = experience.dataset[2]
    assert torch.equal(item_x, x[2] + 1)
    assert torch.equal(item_y, item_x)
    assert label == 3
    assert experience.task_label == 3
    assert benchmark.test_stream[1].task_labels == [3]


def test_test_stream_may_hold_other_samples():
    benchmark = reconstruction_benchmark([torch.zeros(4, 2)], [torch.ones(9, 2)])
    assert len(benchmark.train_stream[0].dataset) == 4
    assert len(benchmark.test_stream[0].dataset) == 9


def test_labels_for_each_sample():
    benchmark = reconstruction_benchmark([torch.zeros(3, 2)], task_labels=[[0, 5, 0]])
    assert sorted(benchmark.train_stream[0].task_labels) == [0, 5]
    assert [item[2] for item in benchmark.train_stream[0].dataset] == [0, 5, 0]


def test_double_precision_becomes_the_models_type():
    benchmark = reconstruction_benchmark([torch.zeros(3, 2, dtype=torch.float64)])
    assert benchmark.train_stream[0].dataset[0][0].dtype == torch.float32


@pytest.mark.parametrize(
    ("train", "options", "error", "message"),
    [
        ([], {}, ValueError, "at least one experience"),
        (torch.zeros(4, 2), {}, TypeError, "a list with one tensor per experience"),
        ([[1.0, 2.0]], {}, TypeError, r"train\[0\] must be a torch.Tensor"),
        ([np.zeros((3, 2))], {}, TypeError, r"use torch.from_numpy"),
        ([torch.zeros(3, 2)], {"dtype": torch.int64}, TypeError, "floating-point type"),
        ([torch.full((3, 2), 1e300, dtype=torch.float64)], {}, ValueError, "NaN or infinite"),
        ([torch.zeros(3, 2)], {"task_labels": ["a"]}, TypeError, "must be an integer, got 'a'"),
        ([torch.zeros(0, 3)], {}, ValueError, "at least one sample"),
        ([torch.zeros(3)], {}, ValueError, "at least one feature"),
        ([torch.ones(3, 2).long()], {}, TypeError, "floating-point"),
        ([torch.tensor([[math.nan, 1.0]])], {}, ValueError, "NaN or infinite"),
        ([torch.tensor([[math.inf, 1.0]])], {}, ValueError, "NaN or infinite"),
        ([torch.zeros(3, 2), torch.zeros(3, 4)], {}, ValueError, "same feature shape"),
        ([torch.zeros(3, 2)], {"test": [torch.zeros(3, 4)]}, ValueError, "same feature shape"),
        ([torch.zeros(3, 2)], {"test": [torch.zeros(3, 2)] * 2}, ValueError, "one tensor per"),
        ([torch.zeros(3, 2)], {"task_labels": [0, 1]}, ValueError, "one entry per experience"),
        ([torch.zeros(3, 2)], {"task_labels": [-1]}, ValueError, "at least 0"),
        ([torch.zeros(3, 2)], {"task_labels": [0.5]}, TypeError, "must be an integer"),
        ([torch.zeros(3, 2)], {"task_labels": [[0, 1]]}, ValueError, "one label per sample"),
        (
            [torch.zeros(3, 2)],
            {"test": [torch.zeros(2, 2)], "task_labels": [[0, 1, 0]]},
            ValueError,
            "test_task_labels",
        ),
    ],
)
def test_what_cannot_work_is_rejected(train, options, error, message):
    with pytest.raises(error, match=message):
        reconstruction_benchmark(train, **options)


def test_the_papers_curves():
    stream = SyntheticManifolds().train_stream
    assert len(stream) == 5
    assert [experience.task_label for experience in stream] == [0, 1, 2, 3, 4]
    x = -4 + 8 * 100 / 299
    expected = [
        (math.sin(x), math.cos(x), x**2 / 16),
        (math.exp(-(x**2)), math.tanh(2 * x), math.sin(2 * x)),
        (x**3 / 64, 1 / (1 + math.exp(-x)), math.cos(3 * x)),
        (math.sin(x) * math.cos(x), abs(x) / 4, math.exp(-abs(x))),
        (math.sin(x**2), math.copysign(math.sqrt(abs(x)), x) / 2, math.tanh(x)),
    ]
    for experience, point in zip(stream, expected, strict=True):
        assert len(experience.dataset) == 300
        assert torch.allclose(experience.dataset[100][0], torch.tensor(point), atol=1e-6)


def test_default_test_stream_is_the_training_points_and_midpoints_are_unseen():
    default, unseen = SyntheticManifolds(50), SyntheticManifolds(50, test="midpoints")
    train = {tuple(item[0].tolist()) for item in default.train_stream[4].dataset}
    assert {tuple(item[0].tolist()) for item in default.test_stream[4].dataset} == train
    midpoints = {tuple(item[0].tolist()) for item in unseen.test_stream[4].dataset}
    assert len(midpoints) == 49
    assert not midpoints & train


def test_without_task_ids_all_labels_are_zero():
    stream = SyntheticManifolds(10, return_task_id=False).train_stream
    assert [experience.task_label for experience in stream] == [0] * 5


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"n_samples": 1}, ValueError), ({"n_samples": 2.5}, TypeError), ({"test": "x"}, ValueError)],
)
def test_bad_arguments_of_the_papers_stream(arguments, error):
    with pytest.raises(error):
        SyntheticManifolds(**arguments)
