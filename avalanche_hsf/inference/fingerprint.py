"""A few numbers of a task's weights, by which it is seen that they have changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.inference.evaluating import evaluating
from avalanche_hsf.models.baselines.separate import SeparateMLPAutoencoders
from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.tasks.per_task import PerTask
from avalanche_hsf.models.tasks.slots import EmptySlot

N_NUMBERS = 6
TOLERANCE = 1e-5
"""Of the weights' norm: another device changes their last digits."""


def fingerprint(models: Iterable[nn.Module], task: int) -> Tensor:
    """Two projections and the norm of a task's own weights, and of those that it shares.

    Its own are what later tasks leave alone by construction: what a hypernetwork writes for it
    that holds old tasks, and what is kept for each task, such as statistics and densities. Shape
    (6,), in float64 on the CPU.
    """
    own: list[Tensor] = []
    shared: list[Tensor] = []
    for model in models:
        with evaluating(model):
            _gather(model, task, own, shared)
    return torch.cat((_sketch(own), _sketch(shared)))


def differ(noted: Tensor, now: Tensor) -> tuple[bool, bool]:
    """Whether a task's own weights have changed, and whether what it shares has.

    False for weights that were never noted, which are NaN.
    """
    tolerance = max(TOLERANCE, 8 * torch.finfo(noted.dtype).eps)
    before = noted.to(now)
    if bool(before.isnan().all()):
        return False, False
    moved = (now - before).abs().view(2, 3).amax(dim=1)
    own, shared = (moved <= tolerance * before.view(2, 3)[:, 2]).tolist()
    return not own, not shared


def _gather(module: nn.Module, task: int, own: list[Tensor], shared: list[Tensor]) -> None:
    if isinstance(module, TaskWeights):
        (own if module.holds_old_tasks else shared).extend(module([task]).values())
    elif isinstance(module, PerTask):
        if task in module:
            kept = module[task]
            own.extend([kept] if isinstance(kept, Tensor) else kept.state_dict().values())
    elif isinstance(module, SeparateMLPAutoencoders):
        own.extend(module.networks[module.tasks.index(task)].parameters())
    else:
        shared.extend(module.parameters(recurse=False))
        shared.extend(module.buffers(recurse=False))
        for child in module.children():
            _gather(child, task, own, shared)


def _sketch(tensors: Sequence[Any]) -> Tensor:
    """Its projections on a sine and a cosine over all entries, and the norm of all of them."""
    parts = [
        tensor.detach().flatten().to("cpu", torch.float64)
        for tensor in tensors
        if isinstance(tensor, Tensor) and not isinstance(tensor, EmptySlot)
        if tensor.is_floating_point()  # integers count steps, or are of another size
    ]
    theta = torch.cat([torch.zeros(0, dtype=torch.float64), *parts])
    angles = torch.arange(1, len(theta) + 1, dtype=torch.float64)
    return torch.stack([theta @ angles.sin(), theta @ angles.cos(), theta.norm()])
