"""The score of principal directions: what it is of, what it keeps, and that this can be saved."""

import pytest
import torch
from torch import nn

from avalanche_hsf.inference import SubspaceScore, TaskRecognizer
from avalanche_hsf.models import TaskConditional


def samples(seed, n=200, d=30, rank=3):
    """Samples near a plane of their own, around zero: their means tell nothing."""
    generator = torch.Generator().manual_seed(seed)
    plane = torch.randn(rank, d, generator=generator)
    noise = 0.05 * torch.randn(n, d, generator=generator)
    return torch.randn(n, rank, generator=generator) @ plane + noise


def test_tells_tasks_that_differ_in_their_directions_alone():
    model = TaskConditional(nn.Linear(30, 2), seed=0)
    recognizer = TaskRecognizer(model, SubspaceScore(3))
    for task in (4, 1, 7):
        model.hypernetwork.add_task(task)
        recognizer.calibrate(task, samples(task)[:150])
    for task in (4, 1, 7):
        assert (recognizer.infer_tasks(samples(task)[150:]) == task).float().mean() > 0.95


def test_the_score_is_the_residual_as_a_share_of_the_variance():
    x = samples(0)
    score = SubspaceScore(2)
    score.note(5, x)
    mean = x.mean(dim=0)
    V = torch.linalg.svd(x - mean, full_matrices=False)[2][:2]
    missed = (x - mean) - (x - mean) @ V.T @ V
    expected = -(missed.square().mean(dim=1) / x.var(dim=1, correction=0)).log()
    assert torch.allclose(score(None, x, torch.full((len(x),), 5)), expected, atol=1e-4)


def test_keeps_mean_and_directions_of_each_task_and_the_last_where_one_comes_again():
    score = SubspaceScore(4)
    for label in (0, 1, 0):
        score.note(label, samples(label + 10 * len(score.labels)))
    assert sum(t.numel() for t in score.state_dict().values() if torch.is_tensor(t)) == 2 * 5 * 30
    again = SubspaceScore(4)
    again.note(0, samples(20))
    x = samples(3)
    labels = torch.zeros(len(x), dtype=torch.long)
    assert torch.equal(score(None, x, labels), again(None, x, labels))


def test_images_keep_their_shape_and_the_order_of_labels_does_not_matter():
    score = SubspaceScore(3)
    for label in (0, 1):
        score.note(label, samples(label).view(-1, 1, 5, 6))
    x, labels = samples(0, n=6).view(-1, 1, 5, 6), torch.tensor([0, 1, 1, 0, 1, 0])
    mixed = score(None, x, labels)
    for label in (0, 1):
        here = labels == label
        assert torch.allclose(mixed[here], score(None, x[here], labels[here]))


def test_a_state_dict_fills_a_new_score():
    score, new = SubspaceScore(3), SubspaceScore(3)
    for label in (2, 0):
        score.note(label, samples(label))
    new.load_state_dict(score.state_dict())
    x, labels = samples(2, n=4), torch.tensor([2, 0, 0, 2])
    assert torch.equal(new(None, x, labels), score(None, x, labels))
    assert new.labels == [2, 0]


def test_fewer_samples_than_directions():
    score = SubspaceScore(24)
    x = samples(0, n=5)
    score.note(0, x)
    s = score(None, torch.cat((x, samples(1, n=5))), torch.zeros(10, dtype=torch.long))
    assert s.isfinite().all() and s[:5].min() > s[5:].max() + 5  # its own are hit exactly


def test_what_it_refuses():
    with pytest.raises(ValueError, match="n_components"):
        SubspaceScore(0)
    with pytest.raises(ValueError, match="task 3 has no prototype"):
        SubspaceScore()(None, torch.zeros(1, 2), torch.tensor([3]))
