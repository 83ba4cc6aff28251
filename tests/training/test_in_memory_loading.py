"""The fast loader yields what Avalanche's own would, for every strategy."""

import random

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, tensors_benchmark
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_loader import GroupBalancedDataLoader
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, Setting
from avalanche_hsf.training.loading.in_memory import _InMemoryLoader, in_memory
from avalanche_hsf.training.loading.rows import rows_of
from avalanche_hsf.training.plugins.in_memory_loading import InMemoryLoadingPlugin

SETTING = Setting(BENCHMARKS["bottleneck"], (3,), 3, n_tasks=3, n_samples=25, epochs=2, seed=0)
PEERS = {name: learner for name, learner in LEARNERS.items() if learner.group == "peers"}


class Recorder(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.losses, self.batches, self.loaders = [], [], set()

    def before_forward(self, strategy, **kwargs):
        self.loaders.add(type(strategy.dataloader).__name__)
        self.batches.append([part.clone() for part in strategy.mbatch])

    def after_training_iteration(self, strategy, **kwargs):
        self.losses.append(strategy.loss.item())


def record(name, shuffle, *, fast):
    torch.manual_seed(0)
    random.seed(0)
    stream = reconstruction_benchmark([torch.randn(n, 3) for n in (25, 20, 25)]).train_stream
    recorder = Recorder()
    peer = PEERS[name]
    strategy = peer.build(SETTING, lr=1e-2, **peer.grid[0], evaluator=None, plugins=[recorder])
    if not fast:  # every peer has it by default
        (own,) = (p for p in strategy.plugins if isinstance(p, InMemoryLoadingPlugin))
        strategy.plugins.remove(own)
    strategy.train_mb_size = 8  # several minibatches an epoch, the last one short
    for plugin in strategy.plugins:
        if hasattr(plugin, "sample_size"):
            plugin.sample_size = 10  # part of A-GEM's memory
    for experiences in [stream] if peer.jointly else stream:
        strategy.train(experiences, shuffle=shuffle)
    return recorder, torch.get_rng_state()


@pytest.mark.parametrize(
    ("name", "shuffle"),
    [
        *((name, True) for name in PEERS if "task" not in name),
        *((f"mlp-{kind}", False) for kind in ("naive", "replay", "cumulative", "gdumb")),
    ],
)
def test_changes_nothing_but_the_time(name, shuffle):
    fast, fast_rng = record(name, shuffle, fast=True)
    stock, stock_rng = record(name, shuffle, fast=False)
    assert fast.loaders == {"_InMemoryLoader"} and "_InMemoryLoader" not in stock.loaders
    assert fast.losses == stock.losses
    assert torch.equal(fast_rng, stock_rng)
    for ours, theirs in zip(fast.batches, stock.batches, strict=True):
        assert len(ours) == len(theirs) == 3
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == b.dtype and torch.equal(a, b)


def naive(stream, *plugins):
    model = nn.Linear(3, 3)
    recorder = Recorder()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.MSELoss(),
        train_mb_size=8,
        evaluator=None,
        plugins=[recorder, *plugins],
    )
    for experience in stream:
        strategy.train(experience)
    return strategy, recorder


def test_keeps_nothing_between_experiences():
    plugin = InMemoryLoadingPlugin()
    strategy, _ = naive(reconstruction_benchmark([torch.randn(9, 3)]).train_stream, plugin)
    assert vars(plugin) == vars(InMemoryLoadingPlugin())
    assert strategy.dataloader == []


def test_leaves_a_transformation_alone():
    x = torch.randn(9, 3)
    dataset = reconstruction_benchmark([x]).train_stream[0].dataset
    doubled = dataset.replace_current_transform_group(lambda sample: sample * 2)
    benchmark = benchmark_from_datasets(train=[doubled], test=[doubled])
    _, recorder = naive(benchmark.train_stream, InMemoryLoadingPlugin())
    assert "_InMemoryLoader" not in recorder.loaders
    assert recorder.batches[0][0].abs().max() > x.abs().max()


def test_leaves_a_stream_without_task_labels_alone():
    x = torch.randn(9, 3)
    dataset = AvalancheDataset([TensorDataset(x, x)])
    benchmark = benchmark_from_datasets(train=[dataset], test=[dataset])
    _, recorder = naive(benchmark.train_stream, InMemoryLoadingPlugin())
    assert recorder.loaders == {"DataLoader"}


def test_leaves_samples_alone_that_do_not_stack():
    def loader(*tensors):
        datasets = [AvalancheDataset([TensorDataset(x, x)]) for x in tensors]
        return GroupBalancedDataLoader(datasets, batch_size=4)

    fits = loader(torch.zeros(5, 3), torch.ones(5, 3))
    assert isinstance(in_memory(fits), _InMemoryLoader)
    for other in (torch.ones(5, 4), torch.ones(5, 3, dtype=torch.float64)):
        mixed = loader(torch.zeros(5, 3), other)
        assert in_memory(mixed) is mixed


def test_samples_of_several_arrays_are_copied_only_where_they_fit():
    def minibatches(max_bytes):
        torch.manual_seed(0)
        datasets = [AvalancheDataset([TensorDataset(x, -x)]) for x in torch.randn(3, 7, 2)]
        loader = GroupBalancedDataLoader(datasets, batch_size=6, shuffle=True)
        loader = loader if max_bytes is None else in_memory(loader, max_bytes=max_bytes)
        return [part for minibatch in loader for part in minibatch]

    stock = minibatches(None)
    for max_bytes in (10, 10_000):
        ours = minibatches(max_bytes)
        assert all(torch.equal(a, b) for a, b in zip(ours, stock, strict=True))
    x = torch.randn(7, 2)
    rows = rows_of([TensorDataset(x), TensorDataset(-x)])
    assert rows.held(10) is rows and rows.held(10_000) is not rows
    once = TensorDataset(x)
    rows = rows_of([AvalancheDataset([once]), AvalancheDataset([once]).subset([3, 1])])
    assert rows.held(10_000) is rows  # of one array


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_a_stream_of_tensors_benchmark_is_read_at_once(dtype):
    pairs = [(torch.randn(20, 1, 4, 4), (torch.arange(20) % 3).to(dtype)) for _ in range(2)]
    stream = tensors_benchmark(train_tensors=pairs, test_tensors=pairs, task_labels=[0, 1])

    def recorded(*plugins):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), 0.1),
            train_mb_size=8,
            train_epochs=2,
            plugins=plugins,
            evaluator=EvaluationPlugin(loggers=[]),
        )
        for experience in stream.train_stream:
            strategy.train(experience, eval_streams=[])

    slow, fast = Recorder(), Recorder()
    recorded(slow)
    recorded(InMemoryLoadingPlugin(), fast)
    assert fast.loaders == {"_InMemoryLoader"} != slow.loaders
    assert fast.losses == slow.losses
    for a, b in zip(fast.batches, slow.batches, strict=True):
        assert all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_classes_that_are_no_whole_numbers_are_left_alone():
    x, y = torch.randn(6, 2), torch.rand(6)
    stream = tensors_benchmark(train_tensors=[(x, y)], test_tensors=[(x, y)], task_labels=[0])
    loader = GroupBalancedDataLoader([stream.train_stream[0].dataset], batch_size=3)
    assert in_memory(loader) is loader
