"""TaskGroups."""

import pytest
import torch

from avalanche_hsf.models import TaskGroups


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
