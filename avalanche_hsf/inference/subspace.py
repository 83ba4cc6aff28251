"""A score without a network: the principal directions of each task's samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from avalanche_hsf.checks import check_int
from avalanche_hsf.inference.scores import PrototypeScore, ReconstructionScore, check_scale


class SubspaceScore(PrototypeScore):
    """-log of what a task's principal directions miss, as a share of the sample's own variance.

    s = -log(mean r^2 / var x), r = (I - V V^T)(x - m), with m the mean of the task's training
    samples and V their leading principal directions: `ReconstructionScore` of a linear
    autoencoder that needs no training. It keeps n_components + 1 samples' numbers for each task,
    and is of use alone or as the first of two stages.

    It wants samples by the thousand, see `n_samples` of `TaskInferencePlugin`. Of fewer samples
    than directions a task has one direction less than samples.

    Args:
        n_components: Directions of each task, at least 1.

    Example:
        >>> score = SubspaceScore(1)
        >>> score.note(0, torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        >>> score.note(1, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        >>> x = torch.tensor([[2.0, 0.1], [2.0, 2.1]])
        >>> (score(None, x, torch.tensor([0, 0])) > score(None, x, torch.tensor([1, 1]))).tolist()
        [False, True]
    """

    directions: Tensor

    def __init__(self, n_components: int = 24) -> None:
        super().__init__()
        self.n_components = check_int("n_components", n_components, at_least=1)
        self.register_buffer("directions", torch.zeros(0))
        self.register_load_state_dict_pre_hook(_make_room)

    @torch.no_grad()
    def note(self, label: int, x: Tensor) -> None:
        check_scale(label, x)
        known = label in self.labels
        super().note(label, x)
        found = _principal(x.flatten(1), self.n_components).unsqueeze(0)
        if known:
            self.directions[self.labels.index(label)] = found[0]
        else:
            self.directions = torch.cat((self.directions, found)) if len(self.directions) else found

    def try_on(self, model: Any, x: Tensor, labels: Tensor) -> None:
        """Nothing to try: no model is asked."""

    def forward(self, model: Any, x: Tensor, labels: Tensor) -> Tensor:
        tasks, group = labels.unique(return_inverse=True)
        rows = self._rows(tasks.tolist())
        flat, found = x.flatten(1), torch.empty_like(x).flatten(1)
        for k, row in enumerate(rows):  # directions for each sample would take gigabytes
            here = group == k
            mean, V = self.means[row].flatten().to(flat), self.directions[row].to(flat)
            found[here] = mean + (flat[here] - mean) @ V.T @ V
        return ReconstructionScore().of(found.view(x.shape), x)


def _principal(x: Tensor, n: int) -> Tensor:
    """The n leading principal directions of the rows of x, as rows; zeros where there are less."""
    centered = x.double() - x.double().mean(dim=0)
    if len(x) > x.shape[1]:
        _, vectors = torch.linalg.eigh(centered.T @ centered)  # in ascending order
        found = vectors.T.flip(0)
    else:
        found = torch.linalg.svd(centered, full_matrices=False)[2][: len(x) - 1]
    found = found[:n].to(x)
    return torch.cat((found, found.new_zeros(n - len(found), x.shape[1])))


def _make_room(score: SubspaceScore, state: Any, prefix: str, *_: Any) -> None:
    if f"{prefix}directions" in state:
        score.directions = score.directions.new_empty(state[f"{prefix}directions"].shape)
