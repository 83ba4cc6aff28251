"""The paper's HyperNetwork, TaskEmbedding and SeededNoise; see also test_task_weights.py."""

import copy

import torch

from avalanche_hsf.models import HyperNetwork, SeededNoise, TaskEmbedding


def test_each_written_tensor_is_its_own_network_of_the_embedding():
    initial = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
    hypernetwork = HyperNetwork(initial, embedding_dim=5)
    e = torch.randn(6, 5)
    weights = hypernetwork.write(e)
    assert {name: tuple(w.shape) for name, w in weights.items()} == {"a": (6, 2, 3), "b": (6, 4)}
    u, _, v = hypernetwork.generators[0]
    expected = v.weight @ torch.relu(u.weight @ e[3] + u.bias) + v.bias
    assert torch.allclose(weights["a"][3].flatten(), expected, atol=1e-6)
    assert list(hypernetwork.write(e, "b")) == ["b"]


def test_hidden_units_are_the_authors():
    # (16 + 64 * 3) / 4 for a matrix, half of that for the bias that follows it.
    initial = {"weight": torch.zeros(64, 3), "bias": torch.zeros(64)}
    sizes = [net[0].out_features for net in HyperNetwork(initial, embedding_dim=16).generators]
    assert sizes == [52, 26]


def test_embeddings_have_the_given_spread():
    embedding = TaskEmbedding(50_000, std=0.02)
    embedding.add_task(0)
    assert abs(float(embedding([0]).detach().std()) / 0.02 - 1) < 0.02


def test_an_embedding_is_drawn_once_whatever_else_is_drawn():
    first, second = TaskEmbedding(4, seed=1), TaskEmbedding(4, seed=1)
    for task in (2, 5):
        first.add_task(task)
        torch.randn(7)
        second.add_task(task)
    second.add_task(2)
    assert first.tasks == second.tasks == [2, 5]
    assert torch.equal(first([2, 5]), second([2, 5]))


def test_a_fresh_embedding_loads_the_tasks_of_another():
    embedding = TaskEmbedding(4)
    for task in (3, 1):
        embedding.add_task(task)
    other = TaskEmbedding(4)
    other.load_state_dict(embedding.state_dict())
    assert other.tasks == [3, 1]
    assert torch.equal(other([1, 3]), embedding([1, 3]))


def test_noise_of_training_and_evaluation_are_apart_and_travel():
    noise = SeededNoise(3)
    first = torch.randn(4, generator=noise.generator("cpu"))
    noise.eval()
    evaluation = torch.randn(4, generator=noise.generator("cpu"))
    assert not torch.equal(first, evaluation)
    noise.train()
    loaded = SeededNoise(99)
    loaded.load_state_dict(noise.state_dict())
    copied = copy.deepcopy(noise)
    expected = torch.randn(4, generator=noise.generator("cpu"))
    assert torch.equal(torch.randn(4, generator=loaded.generator("cpu")), expected)
    assert torch.equal(torch.randn(4, generator=copied.generator("cpu")), expected)
    fresh = SeededNoise(3)
    torch.randn(4, generator=fresh.generator("cpu"))
    assert torch.equal(torch.randn(4, generator=fresh.generator("cpu")), expected)


def test_sources_of_one_seed_are_apart():
    draws = [torch.randn(4, generator=SeededNoise(3, stream=s).generator("cpu")) for s in range(4)]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4
