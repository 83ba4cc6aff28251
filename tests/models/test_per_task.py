"""PerTask."""

import copy
import pickle

import pytest
import torch
from torch import nn

from avalanche_hsf.models.tasks.per_task import PerTask, check_has, holding


def linear(label, names):
    return nn.Linear(3, 1)


def vector(label, names):
    return nn.Parameter(torch.zeros(2))


def filled(make, *labels):
    per_task = PerTask(make)
    for label in labels:
        per_task[label] = make(label, set())
    return per_task


def test_labels_come_in_order_of_arrival():
    per_task = filled(linear, 7, 2, 30)
    assert list(per_task) == per_task.labels == [7, 2, 30] and len(per_task) == 3
    assert 2 in per_task and 3 not in per_task and per_task.get(3) is None
    del per_task[2]
    assert per_task.pop(7).in_features == 3
    assert [label for label, _ in per_task.items()] == [30]
    with pytest.raises(KeyError):
        per_task[7]
    assert [name for name, _ in per_task.named_parameters()] == ["30.weight", "30.bias"]


@pytest.mark.parametrize("make", [linear, vector])
@pytest.mark.parametrize("before", [(), (2,), (5, 9), (4, 2)])
def test_loading_makes_the_tasks_that_are_named_and_drops_the_others(make, before):
    stored = filled(make, 4, 2)
    with torch.no_grad():
        for parameter in stored.parameters():
            parameter.normal_()
    other = filled(make, *before)
    kept = {label: other[label] for label in before}
    other.load_state_dict(stored.state_dict())
    assert other.labels == [4, 2]
    for ours, theirs in zip(other.parameters(), stored.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for label in set(before) & {4, 2}:  # filled in place: an optimizer of it goes on
        assert other[label] is kept[label]


def test_what_holds_other_tensors_is_made_anew():
    def make(label, names):
        return holding({name: torch.zeros(2) for name in sorted(names)})

    stored, other = PerTask(make), PerTask(make)
    stored[1], other[1] = holding({"b": torch.ones(2)}), holding({"a": torch.ones(2)})
    other.load_state_dict(stored.state_dict())
    assert torch.equal(other[1].b, torch.ones(2)) and not hasattr(other[1], "a")


def test_a_state_that_knows_no_tasks_leaves_them():
    per_task = filled(linear, 3)
    per_task.load_state_dict({}, strict=False)
    assert per_task.labels == [3]


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_load_by_themselves(twin_of):
    per_task = filled(linear, 3)
    twin = twin_of(per_task)
    twin.load_state_dict(filled(linear, 1, 2).state_dict())
    assert (twin.labels, per_task.labels) == ([1, 2], [3])


def test_a_task_that_has_nothing():
    check_has(2, [2, 0], "code")
    with pytest.raises(ValueError, match=r"task 5 has no code yet, only \[2, 0\] have; Avalanche"):
        check_has(5, [2, 0], "code")
