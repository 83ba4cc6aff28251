"""Images of torchvision's data sets are read many at once with the bits of one by one."""

import numpy as np
import pytest
import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.benchmarks.classic import PermutedMNIST, SplitFMNIST, SplitMNIST
from avalanche.benchmarks.datasets.external_datasets.mnist import TensorMNIST
from avalanche.benchmarks.utils import AvalancheDataset, DefaultTransformGroups
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.benchmarks.utils.data_loader import SingleDatasetDataLoader
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset, default_collate
from torchvision import transforms as v1
from torchvision.datasets import CIFAR10, CIFAR100, EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from torchvision.transforms import v2

from avalanche_hsf.analysis.data import minibatches_of, spread_over
from avalanche_hsf.training import InMemoryLoadingPlugin
from avalanche_hsf.training.loading.in_memory import in_memory, in_order
from avalanche_hsf.training.loading.rows import rows_of, taken

GREY = (MNIST, FashionMNIST, KMNIST, EMNIST, QMNIST)
COLOURED = (CIFAR10, CIFAR100)
N = 40


def images(kind, transform=None, n=N):
    """A data set of noise, whose files would have to be complete to make it the usual way."""
    dataset = kind.__new__(kind)
    dataset.transform, dataset.target_transform = transform, None
    rng = np.random.default_rng(0)
    classes = np.arange(n) % 4
    if issubclass(kind, CIFAR10):
        data = rng.integers(0, 256, (n, 3, 8, 6), dtype=np.uint8)
        dataset.data, dataset.targets = data.transpose(0, 2, 3, 1), classes.tolist()
    else:
        dataset.data = torch.from_numpy(rng.integers(0, 256, (n, 8, 6), dtype=np.uint8))
        dataset.targets = torch.from_numpy(classes)
    if kind is QMNIST:
        dataset.compat, dataset.targets = (
            True,
            torch.stack([dataset.targets, dataset.targets + 1], 1),
        )
    return dataset


def labelled(dataset, transform=None):
    groups = {"train": (transform, None), "eval": (transform, None)}
    labels = TaskLabels(ConstantSequence(3, len(dataset)))
    return AvalancheDataset([dataset], data_attributes=[labels], transform_groups=groups)


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert (type(a), a.dtype, a.shape, a.stride()) == (type(b), b.dtype, b.shape, b.stride())
        assert a.numpy().tobytes() == b.numpy().tobytes()


def assert_read_at_once(dataset):
    rows = [7, 0, 39, 7, *range(N)]
    one_by_one = default_collate([dataset[i] for i in rows])
    assert_same(taken(dataset, rows), one_by_one)
    assert_same(rows_of([dataset])[torch.tensor(rows)], one_by_one)


def pipelines(n_channels):
    mean, std = (0.1307, 0.5, 0.2)[:n_channels], (0.3081, 0.7, 0.123)[:n_channels]
    return {
        "ToTensor": v1.ToTensor(),
        "normalised": v1.Compose([v1.ToTensor(), v1.Normalize(mean, std)]),
        "one mean": v1.Compose([v1.Compose([v1.ToTensor()]), v1.Normalize(0.3, 0.7)]),
        "bytes": v1.PILToTensor(),
        "float64": v1.Compose([v1.PILToTensor(), v1.ConvertImageDtype(torch.float64)]),
        "int16": v1.Compose([v1.PILToTensor(), v1.ConvertImageDtype(torch.int16)]),
        "v2": v2.Compose(
            [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
        ),
        "v2, bytes": v2.Compose([v2.PILToTensor()]),
        "v1 and v2": v1.Compose(
            [v1.ToTensor(), v2.ToDtype(torch.float16), v2.Normalize(mean, std)]
        ),
    }


@pytest.mark.parametrize("name", pipelines(1))
@pytest.mark.parametrize("kind", [MNIST, CIFAR10])
def test_the_same_bits_with_every_transform(kind, name):
    transform = pipelines(3 if kind is CIFAR10 else 1)[name]
    assert_read_at_once(labelled(images(kind, transform)))
    assert_read_at_once(labelled(images(kind), transform))


@pytest.mark.parametrize("kind", [*GREY, *COLOURED])
def test_the_same_bits_of_every_data_set(kind):
    assert_read_at_once(labelled(images(kind), v1.ToTensor()))


@pytest.mark.parametrize("transform", [None, v1.Normalize((0.1307,), (0.3081,))])
def test_the_same_bits_of_avalanches_mnist(transform):
    assert_read_at_once(labelled(images(TensorMNIST, transform), transform))


def test_bytes_in_any_order_and_the_default_dtype():
    dataset = images(CIFAR10, v1.ToTensor())
    dataset.data = np.ascontiguousarray(dataset.data)[:, ::-1]
    dataset.data.flags.writeable = False
    assert_read_at_once(labelled(dataset))
    torch.set_default_dtype(torch.float64)
    try:
        assert_read_at_once(labelled(dataset))
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_transform_of_tensors_is_applied_too():
    dataset = TensorDataset(torch.rand(N, 3, 4, 4), torch.arange(N))
    assert_read_at_once(labelled(dataset, v1.Normalize((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))))


def test_frozen_transforms_of_all_groups_are_applied():
    groups = DefaultTransformGroups((v1.Normalize((0.5,), (0.1,)), None))
    dataset = TensorDataset(torch.rand(N, 1, 4, 4), torch.arange(N))
    assert_read_at_once(AvalancheDataset([dataset], frozen_transform_groups=groups))
    frozen = labelled(images(CIFAR10, v1.ToTensor()), v1.Normalize(0.5, 0.1)).freeze_transforms()
    assert_read_at_once(AvalancheDataset([frozen], frozen_transform_groups=groups))


class OwnNormalize(v1.Normalize):
    pass


class OwnToTensor(v1.ToTensor):
    pass


class OwnCIFAR10(CIFAR10):
    pass


def with_float_classes():
    dataset = images(MNIST, v1.ToTensor())
    dataset.targets = dataset.targets.float()
    return dataset


def with_other_targets():
    dataset = images(CIFAR10, v1.ToTensor())
    dataset.target_transform = float
    return dataset


@pytest.mark.parametrize(
    "dataset",
    [
        images(MNIST),  # PIL's images are not stacked
        images(OwnCIFAR10, v1.ToTensor()),
        with_float_classes(),
        with_other_targets(),
        *(
            images(CIFAR10, v1.Compose([each, v1.ToTensor()]))
            for each in (v1.RandomCrop(4), v1.RandomHorizontalFlip(), v1.Lambda(lambda x: x))
        ),
        *(
            images(CIFAR10, v1.Compose([v1.ToTensor(), each]))
            for each in (
                OwnNormalize(0.5, 0.5),
                v1.Normalize(0.5, 0.5, inplace=True),
                v1.Normalize((0.5, 0.5), (0.5, 0.5)),  # fails: there are three channels
                v1.ToTensor(),  # fails: it is a tensor already
            )
        ),
        TensorDataset(torch.rand(N, 4, 4), torch.arange(N)),  # Normalize fails without channels
    ],
)
def test_all_else_is_left_alone(dataset):
    dataset = labelled(dataset, v1.Normalize(0.5, 0.5) if type(dataset) is TensorDataset else None)
    assert rows_of([dataset]) is None and taken(dataset, [0, 1]) is None


class Recorder(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.batches, self.loaders = [], {"train": set(), "eval": set()}

    def before_forward(self, strategy, **kwargs):
        self.batches += strategy.mbatch
        self.loaders["train"].add(type(strategy.dataloader).__name__)

    def before_eval_forward(self, strategy, **kwargs):
        self.batches += strategy.mbatch
        self.loaders["eval"].add(type(strategy.dataloader).__name__)


def record(make, *plugins):
    torch.manual_seed(0)
    benchmark = make()
    recorder = Recorder()
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.0),
        train_mb_size=16,
        train_epochs=2,
        eval_mb_size=10,
        eval_every=1,
        evaluator=EvaluationPlugin(loggers=[]),
        plugins=[*plugins, recorder],
    )
    model(benchmark.train_stream[0].dataset[0][0][None])
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[benchmark.test_stream])
    return recorder, torch.get_rng_state()


def noisy(train_transform):
    """As Avalanche's SplitCIFAR10 is made."""
    return nc_benchmark(
        images(CIFAR10),
        images(CIFAR10, n=30),
        2,
        task_labels=True,
        train_transform=train_transform,
        eval_transform=v1.ToTensor(),
    )


IN_MEMORY = {"_InMemoryLoader"}


@pytest.mark.parametrize("make", [SplitMNIST, PermutedMNIST, SplitFMNIST])
def test_avalanches_streams_are_trained_and_evaluated_from_memory(make, data_root):
    def benchmark():
        return make(2, seed=1, return_task_id=True, dataset_root=data_root)

    fast, fast_rng = record(benchmark, InMemoryLoadingPlugin())
    slow, slow_rng = record(benchmark)
    assert fast.loaders == {"train": IN_MEMORY, "eval": IN_MEMORY}
    assert not IN_MEMORY & (slow.loaders["train"] | slow.loaders["eval"])
    assert_same(fast.batches, slow.batches)
    assert torch.equal(fast_rng, slow_rng)


def test_random_transforms_draw_what_they_drew():
    random = v1.RandomCrop((8, 6), padding=1), v1.RandomHorizontalFlip()
    transform = v1.Compose([*random, v1.ToTensor()])
    fast, fast_rng = record(lambda: noisy(transform), InMemoryLoadingPlugin())
    slow, slow_rng = record(lambda: noisy(transform))
    assert fast.loaders["eval"] == IN_MEMORY and not fast.loaders["train"] & IN_MEMORY
    assert_same(fast.batches, slow.batches)
    assert torch.equal(fast_rng, slow_rng)


def test_minibatches_in_order_draw_what_torchs_loader_draws():
    ours, theirs = (labelled(images(CIFAR10, t)) for t in (v1.ToTensor(), OwnToTensor()))
    read, states = [], []
    for dataset in (ours, theirs):
        torch.manual_seed(0)
        read.append([part for minibatch in in_order(dataset, 16) for part in minibatch])
        states.append(torch.get_rng_state())
    assert_same(*read)
    assert torch.equal(*states)
    assert_same(spread_over(ours, 9), spread_over(theirs, 9))
    assert_same(*([x for x, *_ in minibatches_of(each, 9)] for each in (ours, theirs)))


def test_what_a_users_own_class_does_is_not_passed_over():
    x, y = torch.rand(N, 3), torch.arange(N) % 2
    labels = [TaskLabels(ConstantSequence(0, N))]

    class Doubled(AvalancheDataset):
        def __getitem__(self, i):
            first, *rest = super().__getitem__(i)
            return [first * 2, *rest]

    class Flipped(SingleDatasetDataLoader):
        def __iter__(self):
            for first, *rest in super().__iter__():
                yield [first.flip(0), *rest]

    plain = AvalancheDataset([TensorDataset(x, y)], data_attributes=labels)
    assert rows_of([plain]) is not None
    assert rows_of([Doubled([TensorDataset(x, y)], data_attributes=labels)]) is None
    loader = Flipped(plain, batch_size=5)
    assert in_memory(loader) is loader
    lists = [AvalancheDataset([[(x[i], 0) for i in range(3)]]) for _ in range(2)]
    assert rows_of([lists[0].concat(lists[1])]) is None
