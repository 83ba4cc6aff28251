"""LatentReplayPlugin and RawReplayPlugin."""

import pytest
import torch
from torch import nn
from under_naive import Added, WithoutReconstruction, naive, parameters, small, stream

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.checkpoints import CheckpointPlugin, resume
from avalanche_hsf.checkpoints.folder import checkpoints_in
from avalanche_hsf.models import MLPAutoencoder
from avalanche_hsf.training import LatentReplayPlugin, RawReplayPlugin

BOTH = pytest.mark.parametrize("kind", [LatentReplayPlugin, RawReplayPlugin])


@BOTH
def test_fifty_samples_an_experience_balanced_and_capped(kind):
    replay = kind(mem_size=120, samples_per_experience=50)
    strategy = naive(replay)
    counts = []
    for experience in stream(60):
        strategy.train(experience)
        labels = [int(item[-1]) for item in replay.storage_policy.buffer]
        counts.append([labels.count(task) for task in sorted(set(labels))])
    assert counts == [[50], [50, 50], [40, 40, 40], [30] * 4, [24] * 5]


def test_it_stores_inputs_with_the_latents_they_had():
    replay = LatentReplayPlugin(samples_per_experience=5)
    strategy = naive(replay)
    experience = stream()[0]
    strategy.train(experience)
    known = {tuple(item[0].tolist()) for item in experience.dataset}
    for x, z_T, label in replay.storage_policy.buffer:
        assert tuple(x.tolist()) in known
        assert z_T.shape == (4,)
        assert not z_T.requires_grad
        assert label == 0


@BOTH
def test_it_rehearses_every_fifth_epoch_and_not_the_first_experience(kind):
    watch = Added()
    strategy = naive(kind(2.0), watch, train_epochs=11)
    strategy.train(stream()[:2])
    assert watch.values[:11] == [0.0] * 11
    rehearsed = [epoch for epoch, added in enumerate(watch.values[11:]) if added > 0]
    assert rehearsed == [0, 5, 10]


@pytest.mark.parametrize(
    ("kind", "blocks"),
    [
        (LatentReplayPlugin, {"decoder_sde", "decoder"}),
        (RawReplayPlugin, {"encoder", "encoder_sde", "decoder_sde", "decoder"}),
    ],
)
def test_what_rehearses(kind, blocks):
    # The paper's replay starts from stored latents, so that only the decoder does.
    watch = WithoutReconstruction()
    model = small()
    naive(watch, kind(samples_per_experience=5), model=model).train(stream()[:2])
    names = list(model.hypernetwork.shapes)
    reached = set()
    for name in watch.reached[1]:
        if name.startswith("hypernetwork.generators."):
            name = names[int(name.split(".")[2])]
        reached.add(name.split(".")[0])
    assert reached == blocks | {"hypernetwork"}  # of it, the embedding
    assert "hypernetwork.task_embedding.embeddings.0" in watch.reached[1]
    assert "hypernetwork.task_embedding.embeddings.1" not in watch.reached[1]


@BOTH
def test_replay_of_images(kind):
    benchmark = reconstruction_benchmark([torch.rand(9, 1, 4, 4), torch.rand(9, 1, 4, 4)])
    model = small(input_dim=16)
    naive(kind(), model=model).train(benchmark.train_stream)


def test_raw_replay_needs_no_hypernetwork():
    watch = Added()
    naive(RawReplayPlugin(), watch, model=MLPAutoencoder(3)).train(stream()[:2])
    assert watch.values[0] == 0 < watch.values[1]


def test_the_replayed_loss_is_that_of_the_stored_samples():
    # All five stored samples are drawn at once: the term is their MSE, whatever the order.
    model = nn.Linear(3, 3)
    replay, watch = RawReplayPlugin(3.0, samples_per_experience=5), Added()
    strategy = naive(replay, watch, model=model)
    strategy.train(stream()[0])
    x = torch.stack([item[0] for item in replay.storage_policy.buffer])
    with torch.no_grad():
        expected = 3 * float((model(x) - x).square().mean())
    strategy.train(stream()[1])
    assert abs(watch.values[1] / expected - 1) < 1e-5


@BOTH
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
def test_bad_arguments(kind, bad):
    with pytest.raises(ValueError, match="at least"):
        kind(**bad)


@BOTH
@pytest.mark.parametrize("within", [False, True])
def test_a_run_with_a_memory_is_resumed(kind, within, tmp_path):
    """After the second experience, or within the third."""

    def make():
        torch.manual_seed(0)
        return naive(kind(seed=0, every=1), CheckpointPlugin(tmp_path), train_epochs=3)

    def train(strategy, start, end):
        for experience in stream()[start:end]:
            strategy.train(experience)
        return strategy

    whole = parameters(train(make(), 0, 4).model)
    for path in checkpoints_in(tmp_path):
        path.unlink()
    train(make(), 0, 3 if within else 2)
    if within:
        checkpoints_in(tmp_path)[-1].unlink()
    after = make()
    assert resume(after, tmp_path) == (2 if within else 1)
    resumed = parameters(train(after, 2 if within else 1, 4).model)
    assert all(torch.equal(p, resumed[name]) for name, p in whole.items())
