"""IsolatedHyperNetwork; see also test_task_weights.py."""

import math

import pytest
import torch

from avalanche_hsf.models import IsolatedHyperNetwork

INITIAL = {"weight": torch.arange(12.0).view(4, 3), "bias": torch.ones(4)}


def make(**options):
    return IsolatedHyperNetwork(INITIAL, **{"seed": 0} | options)


def theta(hypernetwork, task):
    """All weights of a task as one vector."""
    return torch.cat([w.detach().flatten() for w in hypernetwork([task]).values()])


def learn(hypernetwork, task):
    """Moves the weights of a task by something of their own size; returns them."""
    torch.manual_seed(task)
    hypernetwork.begin([task])
    with torch.no_grad():
        for parameter in hypernetwork.drafts[task].values():
            parameter.add_(torch.randn_like(parameter))
    return theta(hypernetwork, task)


def distance(a, b):
    return float((a - b).norm() / b.norm())


def test_the_first_task_starts_at_the_initial_weights_and_the_next_at_the_last():
    hypernetwork = make()
    hypernetwork.begin([3])
    expected = torch.cat([value.flatten() for value in INITIAL.values()])
    assert torch.equal(theta(hypernetwork, 3), expected)
    learned = learn(hypernetwork, 3)
    hypernetwork.commit()
    hypernetwork.begin([1])
    assert distance(theta(hypernetwork, 1), learned) < 1e-6


def test_forty_tasks_stay_put_while_capacity_grows():
    hypernetwork, learned = make(), {}
    for task in range(40):
        draft = learn(hypernetwork, task)
        before = {old: theta(hypernetwork, old) for old in learned}
        hypernetwork.commit()
        learned[task] = draft
        assert distance(theta(hypernetwork, task), draft) < 1e-6
        assert all(distance(theta(hypernetwork, old), w) < 1e-6 for old, w in before.items())
    assert len(hypernetwork.features) + 1 == 40  # no row more than tasks
    assert all(distance(theta(hypernetwork, task), w) < 1e-5 for task, w in learned.items())

    # Retraining an old one moves only it.
    before = {task: theta(hypernetwork, task) for task in learned}
    for task in (0, 17, 39):
        before[task] = learn(hypernetwork, task)
        hypernetwork.commit()
        assert len(hypernetwork.drafts) == 0
        assert all(distance(theta(hypernetwork, each), w) < 1e-5 for each, w in before.items())


@pytest.mark.parametrize("seed", range(8))
def test_few_tasks_stay_put_whatever_is_drawn(seed):
    hypernetwork, learned = make(seed=seed), {}
    for task in range(5):
        learned[task] = learn(hypernetwork, task)
        hypernetwork.commit()
    assert all(distance(theta(hypernetwork, task), w) < 1e-5 for task, w in learned.items())


def test_tasks_prepared_one_after_the_other_are_trained_together():
    # As Avalanche's JointTraining does it; a draft that was in use is committed.
    hypernetwork = make()
    for task in (0, 1, 2):
        hypernetwork.begin([task])
    assert list(hypernetwork.drafts) == [0, 1, 2]
    hypernetwork([0])
    loaded = make()
    loaded.load_state_dict(hypernetwork.state_dict())
    for each in (hypernetwork, loaded):
        each.begin([1])
        assert list(each.drafts) == [1]


def test_evaluation_passes_do_not_count_as_training():
    hypernetwork = make()
    hypernetwork.begin([0])
    hypernetwork.eval()([0])
    with torch.no_grad():
        hypernetwork.train()([0])
    hypernetwork.begin([1])
    assert list(hypernetwork.drafts) == [0, 1]


def test_committed_weights_take_no_gradient_and_belong_to_no_optimizer():
    hypernetwork = make()
    hypernetwork.begin([0])
    assert hypernetwork([0])["weight"].requires_grad
    hypernetwork.commit()
    assert not hypernetwork([0])["weight"].requires_grad
    assert sum(parameter.numel() for parameter in hypernetwork.parameters()) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_task_that_diverged_does_not_spoil_the_others(value):
    hypernetwork = make()
    learned = learn(hypernetwork, 0)
    hypernetwork.commit()
    hypernetwork.begin([1])
    with torch.no_grad():
        next(iter(hypernetwork.drafts[1].values())).fill_(value)
    hypernetwork([1])
    for move_on in (hypernetwork.commit, lambda: hypernetwork.begin([2])):
        with pytest.raises(ValueError, match="task 1 has NaN or infinite weights"):
            move_on()
    assert hypernetwork.tasks == [0, 1]
    hypernetwork.copy_task(0, 1)
    hypernetwork.commit()
    for task in (0, 1):
        assert distance(theta(hypernetwork, task), learned) < 1e-6


@pytest.mark.parametrize("bad", [{"embedding_dim": 0}, {"seed": -1}])
def test_bad_arguments(bad):
    with pytest.raises(ValueError, match="at least"):
        make(**bad)


def test_a_task_whose_weights_would_drown_the_others_is_not_taken_in():
    hypernetwork = IsolatedHyperNetwork({"weight": torch.ones(8, 8)}, seed=0).train()
    for label in range(3):
        hypernetwork.begin([label])
        hypernetwork([label])["weight"].sum().backward()
    before = hypernetwork.eval()([0])["weight"].clone()
    draft = hypernetwork.drafts[2]["weight"].data
    draft.mul_(1e8)
    with pytest.raises(ValueError, match=r"weights of task 2 are so large.*smaller learning rate"):
        hypernetwork.commit()
    assert torch.equal(hypernetwork([0])["weight"], before)
    hypernetwork.copy_task(0, 2)
    hypernetwork.commit()
    assert torch.allclose(hypernetwork([2])["weight"], before, atol=1e-5)


def test_a_mixed_batch_has_each_task_its_own_weights_and_the_draft_its_gradient():
    hypernetwork = make()
    for task in range(3):
        learn(hypernetwork, task)
    hypernetwork.eval()  # in which task 9, never trained, has the weights of the first
    alone = torch.stack([theta(hypernetwork, task) for task in (2, 0, 1, 9)])
    mixed = hypernetwork([2, 0, 1, 9])
    rows = torch.cat([w.flatten(1) for w in mixed.values()], dim=1)
    torch.testing.assert_close(rows.detach(), alone, rtol=1e-6, atol=1e-6)
    rows.sum(dim=1).mul(torch.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    for parameter in hypernetwork.drafts[2].values():
        assert torch.equal(parameter.grad, torch.ones_like(parameter))


def test_a_commit_in_blocks_is_the_same(monkeypatch):
    whole, in_blocks = make(), make()
    for hypernetwork, columns in ((whole, 4096), (in_blocks, 5)):
        monkeypatch.setattr(IsolatedHyperNetwork, "BLOCK", columns)
        for task in range(6):
            learn(hypernetwork, task)
        hypernetwork.commit()
    torch.testing.assert_close(in_blocks.readout, whole.readout, rtol=0, atol=1e-6)
