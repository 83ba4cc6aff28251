"""Mean and spread of each task's latents, so that one flow fits them all."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.models.tasks.groups import TaskGroups


class TaskWhitening(nn.Module):
    """(z0 - mean_t) / std_t, per task and dimension.

    The likelihood of z0 can be raised without end by shrinking z0; whitened latents have unit
    spread whatever the encoder does. A task whose statistics were never set is left as it is.
    What it keeps is 2 * dim numbers a task.

    Args:
        dim: Size of z0.

    Example:
        >>> whitening = TaskWhitening(2)
        >>> whitening.set_task(0, torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
        >>> whitening(torch.tensor([[2.0, 5.0]]), TaskGroups([0]))[0]
        tensor([[0., 0.]])
    """

    # Keeps a dimension that carries nothing from being blown up.
    MIN_STD = 1e-3

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(0, dim))
        self.register_buffer("std", torch.ones(0, dim))
        self.labels: list[int] = []

    @torch.no_grad()
    def set_task(self, label: int, z0: Tensor) -> None:
        """Takes mean and standard deviation of a task from its latents, a `n x dim` tensor."""
        mean = z0.mean(dim=0, keepdim=True)
        std = z0.std(dim=0, keepdim=True, correction=0).clamp(min=self.MIN_STD)
        if label in self.labels:
            row = self.labels.index(label)
            self.mean[row], self.std[row] = mean[0], std[0]
        else:
            self.labels.append(label)
            self.mean = torch.cat((self.mean, mean))
            self.std = torch.cat((self.std, std))

    def forward(self, z0: Tensor, groups: TaskGroups) -> tuple[Tensor, Tensor]:
        """Whitens the latents of a batch.

        Args:
            z0: A `n x dim` tensor.
            groups: Which rows belong to which task.

        Returns:
            A `n x dim` tensor, and log |det| of the map in nats, shape (n,).
        """
        mean, std = self._rows(z0, groups)
        return (z0 - mean) / std, -std.log().sum(dim=1).expand(len(z0))

    def inverse(self, whitened: Tensor, groups: TaskGroups) -> Tensor:
        """Back to the latents of each task, `n x dim` to `n x dim`."""
        mean, std = self._rows(whitened, groups)
        return mean + std * whitened

    def _rows(self, z0: Tensor, groups: TaskGroups) -> tuple[Tensor, Tensor]:
        """Mean and std for each row, or one row for all if there is one task."""
        mean = torch.cat((self.mean, z0.new_zeros(1, z0.shape[1])))
        std = torch.cat((self.std, z0.new_ones(1, z0.shape[1])))
        rows = [
            self.labels.index(task) if task in self.labels else len(self.labels)
            for task in groups.tasks
        ]
        if groups.of_row is None:
            row = slice(rows[0], rows[0] + 1)
            return mean[row], std[row]
        group = groups.of_row.to(z0.device)
        return mean[rows][group], std[rows][group]

    def get_extra_state(self) -> list[int]:
        return self.labels

    def set_extra_state(self, state: list[int]) -> None:
        """Already read by `_load_from_state_dict`, which needs it first."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if f"{prefix}_extra_state" in state_dict:
            self.labels = list(state_dict[f"{prefix}_extra_state"])
            for name in ("mean", "std"):
                setattr(self, name, torch.empty_like(state_dict[f"{prefix}{name}"]).to(self.mean))
        super()._load_from_state_dict(state_dict, prefix, *args)
