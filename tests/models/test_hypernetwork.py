"""TaskGroups, task_linear, TaskEmbedding, HyperNetwork, SeededNoise."""

import copy
from types import SimpleNamespace

import pytest
import torch

from avalanche_hsf.models import HyperNetwork, SeededNoise, TaskEmbedding, TaskGroups, task_linear


@pytest.mark.parametrize("labels", [[3, 3, 3], [5, 0, 5, 0], [2, 9, 9, 1, 2, 9, 4], [0]])
def test_groups_hold_each_row_under_its_task_and_return_it(labels):
    labels = torch.tensor(labels)
    groups = TaskGroups.from_labels(labels, len(labels))
    rows = torch.arange(len(labels), dtype=torch.float32).unsqueeze(1)
    grouped = groups.scatter(rows)
    assert groups.tasks == sorted(set(labels.tolist()))
    for task, group in zip(groups.tasks, grouped, strict=True):
        own = rows[labels == task]
        assert torch.equal(group[: len(own)], own)
    assert torch.equal(groups.gather(grouped), rows)


def test_task_linear_is_one_linear_layer_per_task():
    labels = torch.tensor([1, 0, 1, 1, 2])
    x, weight, bias = torch.randn(5, 3), torch.randn(3, 4, 3), torch.randn(3, 4)
    groups = TaskGroups.from_labels(labels, 5)
    y = groups.gather(task_linear(groups.scatter(x), weight, bias))
    for row, task in enumerate(labels.tolist()):
        assert torch.allclose(y[row], weight[task] @ x[row] + bias[task], atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (-1, ValueError, "at least 0"),
        (1.0, TypeError, "integer"),
        (True, TypeError, "integer"),
        ("0", TypeError, "integer"),
        (torch.tensor([0, -2, 1]), ValueError, "at least 0"),
        (torch.tensor([0.0, 1.0, 2.0]), TypeError, "integers"),
        (torch.tensor([True, False, True]), TypeError, "integers"),
        (torch.tensor([0, 1]), ValueError, "one per sample"),
        (torch.tensor([[0], [1], [2]]), ValueError, "one per sample"),
    ],
)
def test_what_cannot_be_a_task_label(labels, error, message):
    with pytest.raises(error, match=message):
        TaskGroups.from_labels(labels, 3)


def test_embeddings_grow_in_training_only():
    embedding = TaskEmbedding(4)
    embedding.adaptation(SimpleNamespace(task_labels=[2, 5]))
    assert embedding.tasks == [2, 5]
    before = embedding([2]).detach().clone()
    embedding.adaptation(SimpleNamespace(task_labels=[2, 7]))
    assert embedding.tasks == [2, 5, 7]
    assert torch.equal(embedding([2]), before)
    embedding.eval().adaptation(SimpleNamespace(task_labels=[11]))
    assert embedding.tasks == [2, 5, 7]
    assert torch.equal(embedding([11]), torch.zeros(1, 4))
    with pytest.raises(ValueError, match=r"task 11 has no embedding yet, only \[2, 5, 7\]"):
        embedding.train()([11])


def test_embeddings_have_the_given_spread():
    embedding = TaskEmbedding(50_000, std=0.02)
    embedding.add_task(0)
    assert abs(float(embedding([0]).detach().std()) / 0.02 - 1) < 0.02


def test_an_experience_without_task_labels_says_what_to_do():
    with pytest.raises(ValueError, match="with_task_labels"):
        TaskEmbedding(4).adaptation(SimpleNamespace())


def test_a_fresh_embedding_loads_the_tasks_of_another():
    embedding = TaskEmbedding(4)
    for task in (3, 1):
        embedding.add_task(task)
    other = TaskEmbedding(4)
    other.load_state_dict(embedding.state_dict())
    assert other.tasks == [3, 1]
    assert torch.equal(other([1, 3]), embedding([1, 3]))


def test_each_written_tensor_is_its_own_network_of_the_embedding():
    shapes = {"a": (2, 3), "b": (4,)}
    hypernetwork = HyperNetwork(5, shapes, hidden_dims={"a": 7, "b": 1})
    e = torch.randn(6, 5)
    weights = hypernetwork(e)
    assert {name: tuple(w.shape) for name, w in weights.items()} == {"a": (6, 2, 3), "b": (6, 4)}
    u, _, v = hypernetwork.generators[0]
    expected = v.weight @ torch.relu(u.weight @ e[3] + u.bias) + v.bias
    assert torch.allclose(weights["a"][3].flatten(), expected, atol=1e-6)
    assert list(hypernetwork(e, "b")) == ["b"]
    with pytest.raises(ValueError, match="same names"):
        HyperNetwork(5, shapes, hidden_dims={"a": 7})


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
