"""Mean and spread of each task's latents, so that one flow fits them all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_size
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.per_task import PerTask, holding


class TaskWhitening(nn.Module):
    """(z0 - mean_t) / std_t, per task and dimension, for z0 of size dim.

    The likelihood of z0 can be raised without end by shrinking z0; whitened latents have unit
    spread whatever the encoder does. A task whose statistics were never set is left as it is.
    It keeps 2 * dim numbers per task.

    Example:
        >>> whitening = TaskWhitening(2)
        >>> whitening.set_task(0, torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        >>> whitening(torch.tensor([[2.0, 5.0]]), TaskGroups([0]))[0]
        tensor([[0., 0.]])
    """

    MIN_STD = 1e-3  # keeps a dimension that carries nothing from being blown up

    like: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = check_size("dim", dim)
        self.register_buffer("like", torch.zeros(0), persistent=False)  # of its device and type
        self.of_task = PerTask(self._blank)

    @property
    def labels(self) -> list[int]:
        """The labels of all tasks whose statistics were set, in order of arrival."""
        return list(self.of_task)

    @torch.no_grad()
    def set_task(self, label: int, z0: Tensor) -> None:
        """Takes mean and standard deviation of a task from its latents, a `n x dim` tensor."""
        mean, std = z0.mean(dim=0), z0.std(dim=0, correction=0).clamp(min=self.MIN_STD)
        self.of_task[label] = holding({"mean": mean, "std": std})

    def forward(self, z0: Tensor, groups: TaskGroups) -> tuple[Tensor, Tensor]:
        """The whitened latents, `n x dim` as z0, and log |det| of the map in nats, shape (n,)."""
        mean, std = self._rows(z0, groups)
        return (z0 - mean) / std, -std.log().sum(dim=1).expand(len(z0))

    def inverse(self, whitened: Tensor, groups: TaskGroups) -> Tensor:
        """Back to the latents of each task, `n x dim` to `n x dim`."""
        mean, std = self._rows(whitened, groups)
        return mean + std * whitened

    def _rows(self, z0: Tensor, groups: TaskGroups) -> tuple[Tensor, Tensor]:
        """Mean and std for each row, or one row for all if there is one task."""
        statistics: list[Any] = [self.of_task.get(task) or self._unset(z0) for task in groups.tasks]
        mean = torch.stack([statistic.mean for statistic in statistics])
        std = torch.stack([statistic.std for statistic in statistics])
        if groups.of_row is None:
            return mean, std
        group = groups.of_row.to(z0.device)
        return mean[group], std[group]

    def _unset(self, like: Tensor) -> nn.Module:
        return holding({"mean": like.new_zeros(self.dim), "std": like.new_ones(self.dim)})

    def _blank(self, label: int, names: set[str]) -> nn.Module:
        return self._unset(self.like)
