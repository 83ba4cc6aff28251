"""What a task's own samples scored: a few numbers for each task."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.inference.fingerprint import N_NUMBERS
from avalanche_hsf.models.tasks.per_task import PerTask, check_has, holding

SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5)
"""The shares of own samples whose scores are kept: so many score lower."""
SHARPNESSES = torch.logspace(-2, 3, 101).tolist()
"""Those that are tried, see `TaskCalibration`."""

FEW = 20
"""With fewer samples a task's quantiles are a guess."""


class TaskCalibration(nn.Module):
    """Of each task mean and spread of its own samples' scores, seven quantiles, and a sharpness.

    The sharpness b makes probabilities of scores, p(task | x) = softmax(b s): the one under which
    the new task's samples are the likeliest to be its own, among the tasks known then. The first
    task has none to tell it from. With six numbers of the weights that the samples were scored
    with, sixteen numbers per task, part of the state dict.

    Attributes:
        classes_of: The classes of each task, where they are known.

    Example:
        >>> calibration = TaskCalibration()
        >>> calibration.note(3, torch.tensor([[1.0], [2.0], [3.0]]), [3])
        >>> calibration.standardized(torch.tensor([[4.0]]), [3])
        tensor([[2.4495]])
    """

    like: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("like", torch.zeros(0), persistent=False)  # of its device
        self.of_task = PerTask(self._blank)
        self.classes_of: dict[int, set[int]] = {}

    @property
    def labels(self) -> list[int]:
        """The tasks that were noted, in order of arrival."""
        return list(self.of_task)

    @torch.no_grad()
    def note(
        self,
        label: int,
        scores: Tensor,
        tasks: list[int],
        *,
        standardized: bool = False,
        weights: Tensor | None = None,
    ) -> None:
        """Takes in a task.

        Args:
            label: The task.
            scores: Of its samples under each task known, itself included, `n x k`.
            tasks: These k.
            standardized: Whether the sharpness is that of standardized scores.
            weights: The `fingerprint` of what was asked; None: not known.
        """
        column = tasks.index(label)
        own = scores[:, column].double()
        values = {
            "mean": own.mean(),
            "std": own.std(correction=0).clamp(min=1e-6),
            "quantiles": torch.quantile(own, own.new_tensor(SHARES)),
            "sharpness": own.new_tensor(1.0),
            "weights": own.new_full((N_NUMBERS,), torch.nan) if weights is None else weights,
        }
        self.of_task[label] = holding({name: v.to(self.like) for name, v in values.items()})
        if standardized:
            scores = self.standardized(scores, tasks)
        self.of_task[label].sharpness.fill_(_sharpest(scores.double(), column))

    def standardized(self, scores: Tensor, tasks: list[int]) -> Tensor:
        """Scores, `n x k`, in standard deviations from the mean of each task's own samples."""
        mean, std = (self._stacked(name, tasks, scores) for name in ("mean", "std"))
        return (scores - mean) / std

    def share_below(self, scores: Tensor, tasks: list[int]) -> Tensor:
        """Which share of a task's own samples scored lower, at most .5; `n x k` of `n x k`.

        Between the quantiles that are kept the logarithm of the share is a straight line of the
        score; below the last the line goes on.
        """
        quantiles = self._stacked("quantiles", tasks, scores)
        logs = torch.tensor(SHARES).log().to(scores)
        upper = (scores.unsqueeze(-1) > quantiles).sum(dim=-1).clamp(1, len(SHARES) - 1)
        rows = torch.arange(len(tasks), device=scores.device)
        low, high = quantiles[rows, upper - 1], quantiles[rows, upper]
        along = (scores - low) / (high - low).clamp(min=1e-12)
        logs = logs[upper - 1] + along * (logs[upper] - logs[upper - 1])
        return logs.clamp(max=math.log(SHARES[-1])).exp()

    def weights_of(self, task: int) -> Tensor:
        """The `fingerprint` of the weights that the task's samples were scored with."""
        weights: Tensor = self._of(task).weights
        return weights

    def get_extra_state(self) -> dict[int, list[int]]:
        return {label: sorted(classes) for label, classes in self.classes_of.items()}

    def set_extra_state(self, state: dict[int, list[int]]) -> None:
        self.classes_of = {label: set(classes) for label, classes in state.items()}

    def sharpness(self, tasks: list[int]) -> float:
        """The geometric mean over tasks; 1 while there is but one."""
        values = torch.stack([self._of(task).sharpness for task in tasks]).double()
        values = values[values.isfinite()]
        return float(values.log().mean().exp()) if len(values) else 1.0

    def _of(self, task: int) -> Any:
        check_has(task, self.labels, "calibration")
        return self.of_task[task]

    def _stacked(self, name: str, tasks: list[int], like: Tensor) -> Tensor:
        return torch.stack([getattr(self._of(task), name) for task in tasks]).to(like)

    def _blank(self, label: int, names: set[str]) -> nn.Module:
        number, numbers = self.like.new_zeros(()), self.like.new_zeros(len(SHARES))
        parts = {name: number.clone() for name in ("mean", "std", "sharpness")}
        parts["weights"] = self.like.new_full((N_NUMBERS,), torch.nan)
        return holding({**parts, "quantiles": numbers})


def check_enough(name: str, x: Tensor, task: int) -> None:
    """ValueError for fewer than 2 samples of a task, a warning for few."""
    if len(x) < 2:
        raise ValueError(
            f"{name} must hold at least 2 samples to calibrate task {task}, better hundreds, got "
            f"{len(x)}"
        )
    if len(x) < FEW:
        warnings.warn(
            f"task {task} is calibrated with {len(x)} samples, so that novelty and unknown are "
            "guesses: give hundreds",
            stacklevel=4,  # behind torch.no_grad
        )


def _sharpest(scores: Tensor, column: int) -> float:
    if scores.shape[1] < 2:
        return float("nan")
    likelihoods = [float((b * scores).log_softmax(dim=1)[:, column].mean()) for b in SHARPNESSES]
    return SHARPNESSES[max(range(len(SHARPNESSES)), key=likelihoods.__getitem__)]
