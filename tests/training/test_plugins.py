"""LatentReplayPlugin and SeparationPlugin on their own, with Avalanche's Naive."""

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SyntheticManifolds, reconstruction_benchmark
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder
from avalanche_hsf.training import EmbeddingTablePlugin, LatentReplayPlugin, SeparationPlugin


def naive(*plugins, model=None, train_epochs=1):
    model = model or HypernetSDEFlow(3)
    return Naive(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters()),
        criterion=nn.MSELoss(),
        train_mb_size=100,
        train_epochs=train_epochs,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(loggers=[]),
    )


class AddedLoss(SupervisedPlugin):
    """The part of the loss that other plugins add, by epoch of each experience."""

    def __init__(self):
        super().__init__()
        self.added = []

    def before_backward(self, strategy, **kwargs):
        plain = strategy._criterion(strategy.mb_output, strategy.mb_y)
        self.added.append(float((strategy.loss - plain).detach()))


def test_fifty_samples_an_experience_balanced_and_capped():
    replay = LatentReplayPlugin(mem_size=120, samples_per_experience=50)
    strategy = naive(replay)
    counts = []
    for experience in SyntheticManifolds(60).train_stream:
        strategy.train(experience)
        labels = [int(item[2]) for item in replay.storage_policy.buffer]
        counts.append([labels.count(task) for task in sorted(set(labels))])
    assert counts == [[50], [50, 50], [40, 40, 40], [30] * 4, [24] * 5]


def test_it_stores_inputs_with_the_latents_they_had():
    replay = LatentReplayPlugin(samples_per_experience=5)
    model = HypernetSDEFlow(3)
    strategy = naive(replay, model=model)
    experience = SyntheticManifolds(20).train_stream[0]
    strategy.train(experience)
    known = {tuple(item[0].tolist()) for item in experience.dataset}
    for x, z_T, label in replay.storage_policy.buffer:
        assert tuple(x.tolist()) in known
        assert z_T.shape == (24,)
        assert not z_T.requires_grad
        assert label == 0


def test_it_rehearses_every_fifth_epoch_and_not_the_first_experience():
    watch = AddedLoss()
    strategy = naive(LatentReplayPlugin(2.0), watch, train_epochs=11)
    for experience in SyntheticManifolds(20).train_stream[:2]:
        strategy.train(experience)
    assert watch.added[:11] == [0.0] * 11
    rehearsed = [epoch for epoch, added in enumerate(watch.added[11:]) if added > 0]
    assert rehearsed == [0, 5, 10]


def test_only_the_decoder_rehearses():
    replay = LatentReplayPlugin(samples_per_experience=5)
    strategy = naive(replay)
    strategy.train(SyntheticManifolds(20).train_stream[0])
    x, z_T, labels = replay._memory
    model = strategy.model
    model.zero_grad()
    (model.decode(z_T, labels) - x).square().mean().backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None}
    written = {f"hypernetwork.generators.{n}" for n in (4, 5)}
    assert all(name.startswith(("decoder_", "task_embedding.", *written)) for name in moved), moved


def test_replay_of_images():
    benchmark = reconstruction_benchmark([torch.rand(9, 1, 4, 4), torch.rand(9, 1, 4, 4)])
    strategy = naive(LatentReplayPlugin(), model=HypernetSDEFlow(16))
    for experience in benchmark.train_stream:
        strategy.train(experience)


def test_separation_drives_embeddings_apart():
    model = HypernetSDEFlow(3)
    strategy = naive(SeparationPlugin(100.0), model=model, train_epochs=40)
    stream = SyntheticManifolds(5).train_stream
    strategy.train(stream[0])
    first = model.task_embedding([0]).detach().clone()
    strategy.train(stream[1])
    e0, e1 = model.task_embedding([0, 1]).detach()
    assert float((e0 - e1).norm()) > 0.3  # two draws of N(0, 0.02^2 I) are 0.11 apart
    assert not torch.equal(e0, first[0])


@pytest.mark.parametrize(
    "plugin", [LatentReplayPlugin(), SeparationPlugin(), EmbeddingTablePlugin()]
)
def test_a_model_without_what_they_need(plugin):
    strategy = naive(plugin, model=MLPAutoencoder(3))
    with pytest.raises(TypeError, match="MLPAutoencoder"):
        strategy.train(SyntheticManifolds(5).train_stream[0])
    assert strategy.clock.train_iterations == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"weight": -1.0},
        {"mem_size": 0},
        {"samples_per_experience": 0},
        {"batch_size": 0},
        {"every": 0},
        {"seed": -1},
    ],
)
def test_bad_arguments(bad):
    with pytest.raises(ValueError):
        LatentReplayPlugin(**bad)


def test_bad_separation_weight():
    with pytest.raises(ValueError, match="at least 0"):
        SeparationPlugin(-1)


def test_embeddings_move_as_the_rows_of_one_table():
    # The rival: an AdamW that holds all rows from the start, those of tasks to come with gradient
    # zero. Gradients are prescribed; without weight decay the two must agree exactly.
    gradients = torch.randn(3, 20, 16)
    model = HypernetSDEFlow(3)

    class Prescribe(SupervisedPlugin):
        def after_backward(self, strategy, **kwargs):
            task, step = strategy.experience.task_label, strategy.clock.train_exp_epochs
            for p in model.parameters():
                p.grad = None
            # Finished tasks get no gradient: the table's rows go on by momentum.
            model.task_embedding.embeddings[str(task)].grad = gradients[task, step].clone()

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    strategy = Naive(
        model=model,
        optimizer=optimizer,
        criterion=nn.MSELoss(),
        train_mb_size=5,
        train_epochs=20,
        plugins=[EmbeddingTablePlugin(), Prescribe()],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    stream = SyntheticManifolds(5).train_stream[:3]
    start = []
    for experience in stream:
        model.pre_adapt(None, experience)  # grows the embedding, so that its start can be noted
        start.append(model.task_embedding([experience.task_label])[0].detach().clone())
        strategy.train(experience)
    table = nn.Parameter(torch.stack(start))
    rows = torch.optim.AdamW([table], lr=1e-2, weight_decay=0.0)
    for task in range(3):
        for step in range(20):
            table.grad = torch.zeros(3, 16)
            table.grad[task] = gradients[task, step]
            rows.step()
    assert torch.allclose(model.task_embedding([0, 1, 2]), table, atol=1e-6)
