"""The density of each task's latents, and which tasks have one at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int, check_size
from avalanche_hsf.divergence import DivergedError, is_finite
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.mixture import LatentMixture
from avalanche_hsf.models.tasks.per_task import PerTask


class TaskDensity(nn.Module):
    """p(z0) of the tasks that a `LatentMixture` was fitted for, for z0 of size dim.

    Attributes:
        by_flow: The labels of tasks whose likelihood has trained a flow: where no mixture was
            fitted, theirs is the density.

    Example:
        >>> density = TaskDensity(2)
        >>> density.fit_task(3, torch.randn(100, 2))
        >>> density.labels
        [3]
    """

    like: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = check_size("dim", dim)
        self.register_buffer("like", torch.zeros(0), persistent=False)  # of its device and type
        self.of_task = PerTask(self._blank)
        self.by_flow: set[int] = set()

    @property
    def labels(self) -> list[int]:
        """The labels of all tasks with a mixture, in order of arrival."""
        return list(self.of_task)

    def fit_task(self, label: int, z0: Tensor, *, n_vectors: int = 120) -> None:
        """Fits the mixture of a task to its latents, a `n x dim` tensor.

        Raises:
            DivergedError: They are not finite.
        """
        check_int("n_vectors", n_vectors, at_least=2)
        if not is_finite(z0.abs().max()):
            raise DivergedError(f"the latents of task {label} are NaN or infinite")
        self.of_task[label] = LatentMixture.fit(z0, n_vectors=n_vectors)

    def log_prob(self, z0: Tensor, groups: TaskGroups, by_flow: Callable[[], Tensor]) -> Tensor:
        """log p of each row in nats, shape (n,).

        Args:
            z0: A `n x dim` tensor.
            groups: Its rows by task.
            by_flow: Gives the flow's log p, which is used where there is no mixture.

        Raises:
            ValueError: A task has neither a mixture nor a flow that was trained.
        """
        log_p = z0.new_empty(len(z0)) if self._covers(groups) else by_flow()
        for rows, mixture in self._rows(groups):
            if rows is None:
                return mixture.log_prob(z0)
            log_p = log_p.masked_scatter(rows, mixture.log_prob(z0[rows]))
        return log_p

    def sample(
        self,
        like: Tensor,
        groups: TaskGroups,
        by_flow: Callable[[], Tensor],
        generator: torch.Generator,
    ) -> Tensor:
        """A draw of z0 for each row, in shape and type of `like`; else as `log_prob`."""
        z0 = like if self._covers(groups) else by_flow()
        for rows, mixture in self._rows(groups):
            n = len(like) if rows is None else int(rows.sum())
            drawn = mixture.sample(n, generator=generator).to(like)
            z0 = drawn if rows is None else z0.masked_scatter(rows.unsqueeze(1), drawn)
        return z0

    def _covers(self, groups: TaskGroups) -> bool:
        """Whether every task of a batch has a mixture; raises if one has no density at all."""
        without = [task for task in groups.tasks if task not in self.of_task]
        for task in without:
            if task not in self.by_flow:
                raise ValueError(
                    f"the density of task {task} was never fitted: train the task to its end with "
                    "a DetachedLikelihoodPlugin, or with beta above 0"
                )
        return not without

    def _rows(self, groups: TaskGroups) -> list[tuple[Tensor | None, LatentMixture]]:
        """The rows of each task with a mixture, as a mask; None: all."""
        return [
            (None if groups.of_row is None else groups.of_row == k, self.of_task[task])
            for k, task in enumerate(groups.tasks)
            if task in self.of_task
        ]

    def _blank(self, label: int, names: set[str]) -> LatentMixture:
        return LatentMixture(self.dim).to(self.like)

    def get_extra_state(self) -> list[int]:
        return sorted(self.by_flow)

    def set_extra_state(self, state: Any) -> None:
        self.by_flow = set(state)
