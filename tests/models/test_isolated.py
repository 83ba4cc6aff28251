"""IsolatedHyperNetwork; see also test_task_weights.py."""

import math

import pytest
import torch

from avalanche_hsf.models import IsolatedHyperNetwork

INITIAL = {"weight": torch.arange(12.0).view(4, 3), "bias": torch.ones(4)}


def make():
    return IsolatedHyperNetwork(INITIAL)


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


def test_the_first_task_starts_at_the_initial_weights_and_the_next_at_the_last():
    hypernetwork = make()
    hypernetwork.begin([3])
    expected = torch.cat([value.flatten() for value in INITIAL.values()])
    assert torch.equal(theta(hypernetwork, 3), expected)
    learned = learn(hypernetwork, 3)
    hypernetwork.commit()
    hypernetwork.begin([1])
    assert torch.equal(theta(hypernetwork, 1), learned)


def test_forty_tasks_stay_put_to_the_bit():
    hypernetwork, learned = make(), {}
    for task in range(40):
        learned[task] = learn(hypernetwork, task)
        hypernetwork.commit()
    assert all(torch.equal(theta(hypernetwork, task), w) for task, w in learned.items())
    assert len(hypernetwork.rows) == 40  # no row more than tasks

    # Retraining an old one moves only it.
    for task in (0, 17, 39):
        learned[task] = learn(hypernetwork, task)
        hypernetwork.commit()
        assert len(hypernetwork.drafts) == 0
        assert all(torch.equal(theta(hypernetwork, each), w) for each, w in learned.items())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_old_tasks_are_kept_exactly_in_their_own_precision(dtype):
    values = {name: value.to(dtype) for name, value in INITIAL.items()} | {"plain": torch.ones(2)}
    hypernetwork, learned = IsolatedHyperNetwork(values), {}
    for task in range(3):
        learn(hypernetwork, task)
        learned[task] = {name: w.clone() for name, w in hypernetwork([task]).items()}
        hypernetwork.commit()
    for task, kept in learned.items():
        now = hypernetwork([task])
        assert all(
            torch.equal(now[name], w) and now[name].dtype == w.dtype for name, w in kept.items()
        )


def test_what_was_written_does_not_change_with_what_is_committed_later():
    hypernetwork = make()
    learn(hypernetwork, 0)
    hypernetwork.commit()
    written = hypernetwork([0])["weight"]
    before = written.clone()
    learn(hypernetwork, 0)
    hypernetwork.commit()
    assert torch.equal(written, before)


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
        assert torch.equal(theta(hypernetwork, task), learned)


def test_huge_weights_of_one_task_leave_the_others_alone():
    hypernetwork = make()
    learned = learn(hypernetwork, 0)
    hypernetwork.commit()
    learn(hypernetwork, 1)
    with torch.no_grad():
        hypernetwork.drafts[1]["weight"].mul_(1e30)
    hypernetwork.commit()
    assert torch.equal(theta(hypernetwork, 0), learned)


def test_a_mixed_batch_has_each_task_its_own_weights_and_the_draft_its_gradient():
    hypernetwork = make()
    for task in range(3):
        learn(hypernetwork, task)
    hypernetwork.eval()  # in which task 9, never trained, has the weights of the first
    alone = torch.stack([theta(hypernetwork, task) for task in (2, 0, 1, 9)])
    mixed = hypernetwork([2, 0, 1, 9])
    rows = torch.cat([w.flatten(1) for w in mixed.values()], dim=1)
    assert torch.equal(rows.detach(), alone)
    rows.sum(dim=1).mul(torch.tensor([1.0, 10.0, 100.0, 1000.0])).sum().backward()
    for parameter in hypernetwork.drafts[2].values():
        assert torch.equal(parameter.grad, torch.ones_like(parameter))
