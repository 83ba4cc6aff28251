"""reconstruction_benchmark, as_reconstruction and SyntheticManifolds."""

import math

import numpy as np
import pytest
import torch
from avalanche.benchmarks import (
    CLScenario,
    benchmark_from_datasets,
    benchmark_with_validation_stream,
    class_incremental_benchmark,
    ni_benchmark,
)
from avalanche.benchmarks.utils import (
    AvalancheDataset,
    TransformGroups,
    as_classification_dataset,
)
from avalanche.training import Naive
from torch.utils.data import TensorDataset

from avalanche_hsf.benchmarks import (
    SplitDigits,
    SyntheticManifolds,
    as_reconstruction,
    reconstruction_benchmark,
    regression_benchmark,
)


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


X, Y = torch.zeros(3, 2), torch.zeros(3, 1)


@pytest.mark.parametrize(
    ("train", "options", "error", "message"),
    [
        ([(X, Y[:2])], {}, ValueError, r"train\[0\] has 3 x but 2 y"),
        ([(X, Y), (X, X)], {}, ValueError, "all experiences of y of train must have the same"),
        ([(X, Y)], {"test": [(X, X)]}, ValueError, "y of train and y of test must have the same"),
        ([(X, Y)], {"test": [(X, Y)] * 2}, ValueError, "x of test must have one tensor per tra"),
        ([(X, Y.long())], {}, TypeError, r"y of train\[0\] must be a floating-point"),
        ([(X, Y)], {"dtype": torch.int64}, TypeError, "floating-point type"),
        ([(X, Y)], {"task_labels": [0, 1]}, ValueError, "one entry per experience"),
    ],
)
def test_what_is_no_regression_is_rejected(train, options, error, message):
    with pytest.raises(error, match=message):
        regression_benchmark(train, **options)


def labelled(x, y=None, t=None, **options):
    """A classification benchmark of one experience; without t, its items are (x, y)."""
    columns = [x, torch.zeros(len(x)).long() if y is None else y] + ([] if t is None else [t])
    dataset = AvalancheDataset([TensorDataset(*columns)], **options)
    return benchmark_from_datasets(train=[dataset], test=[dataset])


def test_a_classification_benchmark_as_reconstruction():
    source = SplitDigits(4, seed=0)
    benchmark = as_reconstruction(source)
    assert isinstance(benchmark, CLScenario)
    for name in ("train", "test"):
        pairs = zip(source.streams[name], benchmark.streams[name], strict=True)
        for i, (given, got) in enumerate(pairs):
            assert got.current_experience == got.task_label == i
            assert len(got.dataset) == len(given.dataset)
            for (x, _, t), (new_x, new_y, new_t) in zip(given.dataset, got.dataset, strict=True):
                assert torch.equal(new_x, x)
                assert torch.equal(new_y, x)
                assert new_t == t
    assert source.train_stream[0].dataset[0][1] in range(10)


def test_built_in_strategies_train_on_it():
    benchmark = as_reconstruction(SplitDigits(2, seed=0))
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.Unflatten(1, (1, 8, 8))
    )
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=5e-3),
        criterion=torch.nn.MSELoss(),
        train_mb_size=32,
        eval_mb_size=128,
    )
    before, after = [], []
    for experience in benchmark.train_stream:
        before.append(strategy.eval(benchmark.test_stream))
        strategy.train(experience)
        after.append(strategy.eval(benchmark.test_stream))
    loss = "Loss_Exp/eval_phase/test_stream/Task001/Exp001"
    assert after[-1][loss] < before[0][loss] / 2


def test_train_and_eval_transformations_are_materialised():
    groups = TransformGroups({"train": (lambda x: x + 1, None), "eval": (lambda x: x - 1, None)})
    source = labelled(torch.zeros(3, 2), transform_groups=groups)
    valid = benchmark_with_validation_stream(source, validation_size=2)
    benchmark = as_reconstruction(valid)
    assert set(benchmark.streams) == {"train", "test", "valid"}
    for name, value in (("train", 1), ("test", -1), ("valid", -1)):
        experience = benchmark.streams[name][0]
        for dataset in (experience.dataset.train(), experience.dataset.eval()):
            for x, y, _ in dataset:
                assert x.tolist() == y.tolist() == [value, value]


def test_task_labels_are_kept():
    x = torch.zeros(3, 2)
    given = reconstruction_benchmark([x, x], task_labels=[[4, 0, 4], [7, 7, 7]])
    benchmark = as_reconstruction(given)
    assert [[t for _, _, t in e.dataset] for e in benchmark.train_stream] == [[4, 0, 4], [7, 7, 7]]
    assert sorted(benchmark.test_stream[0].task_labels) == [0, 4]
    assert benchmark.test_stream[1].task_label == 7
    last_of_item = as_reconstruction(labelled(x, t=torch.tensor([1, 5, 1])))
    assert [t for _, _, t in last_of_item.train_stream[0].dataset] == [1, 5, 1]


def test_without_task_labels_all_are_zero():
    tensors = TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 2, 0]))
    tensors.targets = [0, 1, 2, 0]
    dataset = as_classification_dataset(tensors)
    source = class_incremental_benchmark({"train": dataset, "test": dataset}, num_experiences=3)
    assert len(source.train_stream[0].dataset[0]) == 2
    stream = as_reconstruction(source).train_stream
    assert [e.task_label for e in stream] == [0, 0, 0]


def test_streams_may_differ_in_length():
    dataset = TensorDataset(torch.zeros(6, 2), torch.tensor([0, 1] * 3))
    benchmark = as_reconstruction(ni_benchmark(dataset, dataset, 3, shuffle=False))
    assert [len(e.dataset) for e in benchmark.train_stream] == [2, 2, 2]
    assert [len(e.dataset) for e in benchmark.test_stream] == [6]


def test_double_precision_and_gradients_end_here():
    benchmark = as_reconstruction(labelled(torch.zeros(2, 3).double().requires_grad_()))
    x, y, _ = benchmark.train_stream[0].dataset[0]
    assert x.dtype == y.dtype == torch.float32
    assert not x.requires_grad


class Ragged(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return torch.zeros(3 + i), 0


def of(*datasets):
    return benchmark_from_datasets(train=[AvalancheDataset([d]) for d in datasets])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: [torch.zeros(3, 2)], TypeError, "a CLScenario, got list; reconstruction_benchm"),
        (lambda: labelled(torch.zeros(2, 3)).train_stream, TypeError, "CLScenario, got EagerCLS"),
        (
            lambda: labelled(torch.zeros(2, 3).byte()),
            TypeError,
            r"x of train\[0\].dataset\[0\] must be a floating-point tensor, got torch.uint8",
        ),
        (lambda: of([(np.zeros(3), 0)]), TypeError, "floating-point tensor, got ndarray"),
        (
            lambda: of([{"x": torch.zeros(3)}]),
            TypeError,
            r"must be \(x, ..., task label\), got dict",
        ),
        (lambda: of([]), ValueError, r"train\[0\] must hold at least one sample"),
        (
            lambda: of(Ragged()),
            ValueError,
            r"dataset\[1\] must have the shape of the first sample, \(3,\), got \(4,\)",
        ),
        (
            lambda: of([(torch.zeros(3), 0)], [(torch.zeros(4), 0)]),
            ValueError,
            r"all experiences of train must have the same feature shape, got \[\(3,\), \(4,\)\]",
        ),
        (
            lambda: CLScenario(
                [labelled(torch.zeros(2, 3)).train_stream, labelled(torch.zeros(2, 4)).test_stream]
            ),
            ValueError,
            r"all streams must have the same feature shape, got .*\(3,\).*\(4,\)",
        ),
        (lambda: labelled(torch.full((2, 3), math.nan)), ValueError, r"train\[0\] has NaN"),
        (
            lambda: labelled(torch.zeros(2, 3), t=torch.tensor([0.5, 1.5])),
            TypeError,
            r"task labels of train\[0\]\[0\] must be an integer, got 0.5",
        ),
        (
            lambda: labelled(torch.zeros(2, 3), t=torch.tensor([-1, -1])),
            ValueError,
            r"task labels of train\[0\] must be at least 0, got -1",
        ),
    ],
)
def test_what_cannot_be_reconstructed_is_rejected(make, error, message):
    with pytest.raises(error, match=message):
        as_reconstruction(make())


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
