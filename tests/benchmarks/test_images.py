"""SyntheticImages: tasks that conflict, images that differ, the same for the same seed."""

import pytest
import torch
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SyntheticImages


def tensors(experience):
    items = list(experience.dataset)
    return torch.stack([x for x, _, _ in items]), torch.tensor([y for _, y, _ in items])


def test_shapes_classes_and_labels():
    benchmark = SyntheticImages(3, n_classes=4, n_train=20, n_test=12, size=16, seed=1)
    assert [e.task_label for e in benchmark.train_stream] == [0, 1, 2]
    for stream, n in ((benchmark.train_stream, 20), (benchmark.test_stream, 12)):
        for experience in stream:
            x, y = tensors(experience)
            assert x.shape == (n, 3, 16, 16) and x.dtype == torch.float32
            assert y.bincount().tolist() == [n // 4] * 4
            assert experience.classes_in_this_experience == [0, 1, 2, 3]


def test_a_task_depends_on_seed_and_number_alone():
    long, short, other = (
        SyntheticImages(n, n_train=10, n_test=10, seed=seed) for n, seed in ((3, 5), (2, 5), (2, 6))
    )
    first = tensors(long.train_stream[1])[0]
    assert torch.equal(first, tensors(short.train_stream[1])[0])
    assert not torch.equal(first, tensors(other.train_stream[1])[0])
    assert not torch.equal(first, tensors(long.train_stream[0])[0])
    assert not torch.equal(first, tensors(long.test_stream[1])[0])


def test_without_noise_all_but_a_patch_is_grey():
    x, _ = tensors(SyntheticImages(1, n_train=10, noise=0.0).train_stream[0])
    assert ((x != 0).any(dim=1).sum(dim=(1, 2)) == 12 * 12).all()
    assert x[x != 0].std() == pytest.approx(1.0, abs=0.2)


def test_a_task_can_be_learned_and_is_forgotten_by_the_next():
    """Else it would be no benchmark for forgetting."""
    benchmark = SyntheticImages(2, n_classes=3, n_train=150, n_test=60, size=16, seed=0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
        nn.Linear(16, 3),
    )  # fmt: skip
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=25,
        train_epochs=15,
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
    )
    accuracy = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        metrics = strategy.eval(benchmark.test_stream)
        accuracy.append([metrics[name] for name in sorted(metrics) if "Top1_Acc_Exp" in name])
    assert accuracy[0][0] > 0.8 and accuracy[1][1] > 0.8
    assert accuracy[1][0] < 0.7


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_experiences": 0}, ValueError, "n_experiences must be at least 1"),
        ({"n_classes": 1}, ValueError, "n_classes must be at least 2"),
        ({"n_train": 5}, ValueError, "n_train must be at least 10"),
        ({"size": 8}, ValueError, "size must be at least 12"),
        ({"noise": -1}, ValueError, "noise must be a finite number of at least 0"),
        ({"seed": 1.5}, TypeError, "seed must be an integer"),
    ],
)
def test_bad_arguments(options, error, message):
    with pytest.raises(error, match=message):
        SyntheticImages(**options)
