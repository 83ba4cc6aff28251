"""Batches that mix tasks: rows grouped by task, so that weights exist once per task."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avalanche_hsf.checks import check_int, check_task_labels


@dataclass(frozen=True)
class TaskGroups:
    """Which rows of a batch belong to which task.

    Work that needs task-specific weights runs on a padded `k x m x *` layout, one slice for each
    of the k distinct tasks, with m the size of the largest group: one batched matrix product
    instead of a loop over tasks, and weights written k times, not once per row.

    Args:
        tasks: The k distinct task labels, ascending.
        rows: A `k x m` index: the batch row in each slot. Slots beyond a group's size repeat a
            row and are never read back. None if there is one task.
        slots: A `n` index: the slot, in 0..k*m-1, of each batch row. None if there is one task.

    Example:
        >>> groups = TaskGroups.from_labels(torch.tensor([4, 2, 4]), n=3)
        >>> groups.tasks
        [2, 4]
        >>> x = torch.tensor([[10.0], [20.0], [30.0]])
        >>> groups.scatter(x)[1].flatten()
        tensor([10., 30.])
        >>> groups.gather(groups.scatter(x)).flatten()
        tensor([10., 20., 30.])
    """

    tasks: list[int]
    rows: Tensor | None = None
    slots: Tensor | None = None

    @classmethod
    def from_labels(cls, task_labels: Tensor | int, n: int) -> TaskGroups:
        """Groups the n >= 1 rows of a batch by one label for all, or by a tensor of shape (n,).

        Raises:
            TypeError: The labels are no integers.
            ValueError: A label is negative, or there is not one for each row.
        """
        if not isinstance(task_labels, Tensor):
            return cls([check_int("a task label", task_labels, at_least=0)])
        check_task_labels(task_labels, n)
        if n == 0:
            raise ValueError("a batch must have at least one row")
        lowest, highest = map(int, task_labels.aminmax())
        check_int("a task label", lowest, at_least=0)
        if lowest == highest:
            return cls([lowest])
        uniques, group_of_row, sizes = torch.unique(
            task_labels, return_inverse=True, return_counts=True
        )
        by_group = torch.argsort(group_of_row, stable=True)
        group = group_of_row[by_group]
        starts = sizes.cumsum(0) - sizes
        m = int(sizes.max())
        slot = group * m + torch.arange(n, device=group.device) - starts[group]
        rows = by_group[starts].repeat_interleave(m).scatter(0, slot, by_group).view(-1, m)
        return cls(uniques.tolist(), rows, torch.empty_like(slot).scatter(0, by_group, slot))

    @property
    def of_row(self) -> Tensor | None:
        """The group, 0 to k-1, of each batch row, a `n` index; None if there is one task."""
        if self.rows is None or self.slots is None:
            return None
        return self.slots // self.rows.shape[1]

    def scatter(self, x: Tensor) -> Tensor:
        """From batch order to groups: a `n x *` tensor to a `k x m x *` tensor."""
        return x.unsqueeze(0) if self.rows is None else x[self.rows.to(x.device)]

    def gather(self, grouped: Tensor) -> Tensor:
        """From groups back to batch order: a `k x m x *` tensor to a `n x *` tensor."""
        if self.slots is None:
            return grouped[0]
        return grouped.flatten(0, 1)[self.slots.to(grouped.device)]
