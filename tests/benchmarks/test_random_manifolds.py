"""RandomManifolds."""

import random

import numpy as np
import pytest
import torch

from avalanche_hsf.benchmarks import RandomManifolds


def curves(stream):
    return [torch.stack([x for x, _, _ in experience.dataset]) for experience in stream]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_twenty_curves_of_300_points_by_default():
    benchmark = RandomManifolds()
    assert [e.task_label for e in benchmark.train_stream] == list(range(20))
    for x in curves(benchmark.train_stream):
        assert x.shape == (300, 3)
        assert x.dtype == torch.float32
    x, y, _ = benchmark.train_stream[3].dataset[7]
    assert torch.equal(x, y)


def test_a_longer_stream_starts_with_the_tasks_of_a_shorter_one():
    short = curves(RandomManifolds(3, seed=7).train_stream)
    long = curves(RandomManifolds(9, seed=7).train_stream)
    assert same(short, long[:3])


def test_a_seed_names_a_stream_and_leaves_global_generators_alone():
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()

    before = states()
    first = curves(RandomManifolds(3, seed=1).train_stream)
    assert states() == before
    torch.manual_seed(5)
    np.random.seed(5)
    assert same(first, curves(RandomManifolds(3, seed=1).train_stream))
    assert not same(first, curves(RandomManifolds(3, seed=2).train_stream))


def test_the_stream_of_seed_0_does_not_change_between_versions():
    """Whoever publishes a number on it must find it again."""
    x = curves(RandomManifolds(2).train_stream)[1][100]
    assert torch.allclose(x, torch.tensor([0.021819, -0.490613, -0.463950]), atol=1e-5)


def test_the_points_do_not_depend_on_how_many_there_are():
    coarse = curves(RandomManifolds(2, n_samples=11).train_stream)
    fine = curves(RandomManifolds(2, n_samples=21).train_stream)
    for a, b in zip(coarse, fine, strict=True):
        assert torch.allclose(a, b[::2], atol=1e-5)


def test_bounded_smooth_and_nowhere_constant():
    for x in curves(RandomManifolds(50, n_samples=1001).train_stream):
        assert x.abs().max() <= 1 + 1e-6
        # |f'| <= the highest frequency, 2.5
        assert (x[1:] - x[:-1]).abs().max() <= 2.5 * 8 / 1000 + 1e-5
        assert (x.max(dim=0).values - x.min(dim=0).values).min() > 0.2


def test_no_curve_lies_on_another():
    tasks = curves(RandomManifolds().train_stream)
    for i, x in enumerate(tasks):
        for j, y in enumerate(tasks):
            nearest = torch.cdist(y, x).min(dim=1).values
            assert i == j or nearest.square().mean() / 3 > 0.01


def test_tasks_conflict():
    """A plain autoencoder of width 2 learns each and forgets those before."""
    tasks = curves(RandomManifolds(4, n_samples=100).train_stream)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 64),
        torch.nn.Tanh(),
        torch.nn.Linear(64, 2),
        torch.nn.Linear(2, 64),
        torch.nn.Tanh(),
        torch.nn.Linear(64, 3),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    learned = []
    for x in tasks:
        for _ in range(200):
            optimizer.zero_grad()
            error = (model(x) - x).square().mean()
            error.backward()
            optimizer.step()
        learned.append(error.item())
    final = [(model(x) - x).square().mean().item() for x in tasks]
    assert max(learned) < 0.02
    assert min(final[:-1]) > 2 * max(learned)


def test_midpoints_are_unseen_points_of_the_same_curves():
    benchmark = RandomManifolds(2, n_samples=400, test="midpoints")
    pairs = zip(curves(benchmark.train_stream), curves(benchmark.test_stream), strict=True)
    for train, test in pairs:
        assert test.shape == (399, 3)
        assert torch.allclose(test, (train[1:] + train[:-1]) / 2, atol=1e-3)
        assert not {tuple(x) for x in test.tolist()} & {tuple(x) for x in train.tolist()}
    default = RandomManifolds(2, n_samples=20)
    assert same(curves(default.train_stream), curves(default.test_stream))


def test_without_task_ids_all_labels_are_zero():
    benchmark = RandomManifolds(3, n_samples=5, return_task_id=False)
    assert [e.task_label for e in benchmark.train_stream] == [0, 0, 0]
    assert [e.task_label for e in benchmark.test_stream] == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_experiences": 0}, ValueError, "n_experiences must be at least 1, got 0"),
        ({"n_experiences": "5"}, TypeError, "n_experiences must be an integer, got '5'"),
        ({"n_experiences": True}, TypeError, "n_experiences must be an integer, got True"),
        ({"n_samples": 1}, ValueError, "n_samples must be at least 2, got 1"),
        ({"n_samples": 2.5}, TypeError, "n_samples must be an integer, got 2.5"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": None}, TypeError, "seed must be an integer, got None"),
        ({"test": "x"}, ValueError, 'test must be "train" or "midpoints", got \'x\''),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        RandomManifolds(**arguments)
