"""The MLP and its two forms that know the task."""

import copy

import pytest
import torch
from avalanche.models.utils import avalanche_forward
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.models.baselines.mlp import MLPAutoencoder
from avalanche_hsf.models.baselines.separate import SeparateMLPAutoencoders
from avalanche_hsf.models.baselines.task_aware import TaskAwareMLPAutoencoder

LABELS = torch.tensor([2, 0, 1, 0, 2, 2])


def make(kind):
    if kind is TaskAwareMLPAutoencoder:
        return kind(3, 4, hidden_dim=8, latent_dim=2)
    model = kind(3, hidden_dim=8, latent_dim=2)
    for label in (2, 0, 1):
        model.add_task(label)
    return model


both = pytest.mark.parametrize("kind", [TaskAwareMLPAutoencoder, SeparateMLPAutoencoders])


def train(model, tensors, *, epochs=1, **kwargs):
    strategy = Naive(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=1e-2),
        criterion=nn.MSELoss(),
        train_mb_size=100,
        train_epochs=epochs,
        evaluator=None,
    )
    benchmark = reconstruction_benchmark(tensors, **kwargs)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    return strategy


@both
def test_mixed_batches_equal_batches_of_one_task(kind):
    model, x = make(kind), torch.randn(6, 3)
    mixed = model(x, LABELS)
    for i, label in enumerate(LABELS.tolist()):
        alone = model(x[i : i + 1], label)
        torch.testing.assert_close(mixed[i : i + 1], alone)
        torch.testing.assert_close(model(x[i : i + 1], LABELS[i : i + 1]), alone)
    assert not torch.allclose(model(x, 0), model(x, 1))
    (mixed**2).sum().backward()  # it can be trained


@both
def test_shapes_copies_and_avalanche_forward(kind):
    model = make(kind)
    images = torch.randn(6, 1, 3, 1)
    out = avalanche_forward(model, images, LABELS)
    assert out.shape == images.shape
    assert torch.equal(copy.deepcopy(model)(images, LABELS), out)
    again = kind(3, 4, hidden_dim=8, latent_dim=2) if kind is TaskAwareMLPAutoencoder else None
    again = again or kind(3, hidden_dim=8, latent_dim=2)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(images, LABELS), out)


@both
def test_bad_input_is_named(kind):
    model, x = make(kind), torch.randn(6, 3)
    with pytest.raises(ValueError, match="3 features"):
        model(torch.randn(6, 4), 0)
    with pytest.raises(ValueError, match=r"shape \(6,\)"):
        model(x, LABELS[:5])
    with pytest.raises(TypeError, match="float32"):
        model(x, LABELS.float())
    with pytest.raises(TypeError, match=r"0\.5"):
        model(x, 0.5)
    with pytest.raises(ValueError, match="-1"):
        model(x, -1)
    with pytest.raises(ValueError, match="9"):
        model(x, torch.tensor([0, 1, 2, 0, 1, 9]))


@both
def test_none_gives_all_trained_tasks_and_evaluation_adds_none(kind):
    if kind is TaskAwareMLPAutoencoder:
        model = kind(3, 4, hidden_dim=8, latent_dim=2)
    else:
        model = kind(3, hidden_dim=8, latent_dim=2)
    tensors = [torch.randn(7, 3) for _ in range(3)]
    strategy = train(model, tensors[:2], task_labels=[3, 1])
    x = torch.randn(6, 3)
    for later in range(2):  # an evaluation of unknown tasks adds none
        outputs = model(x, None)
        assert sorted(outputs) == [1, 3]
        assert torch.equal(outputs[3], model(x, 3))
        if later == 0:
            strategy.eval(reconstruction_benchmark(tensors).test_stream)


def test_task_aware_names_a_label_that_it_has_no_room_for():
    model = TaskAwareMLPAutoencoder(3, n_tasks=2)
    for label in (2, torch.tensor([0, 2])):
        with pytest.raises(ValueError, match="task label 2 is not in 0 to 1"):
            model(torch.zeros(2, 3), label)
    with pytest.raises(ValueError, match="task label 2 is not in 0 to 1"):
        train(model, [torch.randn(7, 3)], task_labels=[2])


def test_task_aware_sizes():
    model = TaskAwareMLPAutoencoder(3, 5)
    assert model.encoder[0].in_features == 8 and model.encoder[-1].out_features == 24
    assert model.decoder[0].in_features == 29 and model.decoder[-1].out_features == 3


def test_separate_starts_as_the_mlp_and_grows():
    torch.manual_seed(3)
    mlp = MLPAutoencoder(3)
    torch.manual_seed(3)
    model = SeparateMLPAutoencoders(3)
    x = torch.randn(5, 3)
    assert model.tasks == []
    assert torch.equal(model.eval()(x, 4), mlp(x))  # before any training too
    model.add_task(4)
    model.add_task(4)
    assert model.tasks == [4] and len(model.networks) == 1
    model.add_task(1)
    assert model.tasks == [4, 1]
    assert torch.equal(model(x, 7), model(x, 4))  # untrained: the first task's
    with pytest.raises(ValueError, match=r"task 7 has no network yet, only \[4, 1\]"):
        model.train()(x, 7)


def test_separate_trains_only_the_network_of_the_task():
    tensors = [torch.randn(7, 3), torch.randn(7, 3)]
    model = SeparateMLPAutoencoders(3)
    first = train(model, tensors[:1], epochs=3).model(tensors[0], 0)
    torch.manual_seed(1)
    strategy = train(model, tensors[1:], epochs=3, task_labels=[1])
    assert torch.equal(model(tensors[0], 0), first)
    assert model.tasks == [0, 1]
    assert len(strategy.optimizer.param_groups[0]["params"]) == 2 * len(
        [*MLPAutoencoder(3).parameters()]
    )


def test_separate_copies_a_task():
    model, x = make(SeparateMLPAutoencoders), torch.randn(5, 3)
    model.copy_task(2, 1)
    assert torch.equal(model(x, 2), model(x, 1))
    with torch.no_grad():
        model.networks[0].decoder[-1].bias.add_(1)
    assert not torch.equal(model(x, 2), model(x, 1))  # a copy, not the same
    for pair in ((2, 5), (5, 2)):
        with pytest.raises(ValueError, match=r"task 5 has no network yet, only \[2, 0, 1\]"):
            model.copy_task(*pair)
