"""What a forward pass in training changes besides the gradients, kept so that it can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from avalanche_hsf.divergence import all_finite, is_finite, norm_of
from avalanche_hsf.models import TaskStatistics, TaskWhitening
from avalanche_hsf.models.tasks.slots import EmptySlot


class PassState:
    """The running statistics of a model's normalization layers, and of its latents.

    Args:
        model: Any module.
        tasks: The tasks in training.
    """

    def __init__(self, model: nn.Module, tasks: Iterable[int]) -> None:
        self._tasks = list(tasks)
        self._layers = list(_with_statistics(model))
        self._whitenings = [m for m in model.modules() if isinstance(m, TaskWhitening)]
        self._buffers: list[dict[str, Tensor]] = []
        self._latents: list[dict[int, nn.Module | None]] = []

    def note(self) -> None:
        """Notes the present state; what has no statistics costs nothing."""
        self._buffers = [
            {name: buffer.clone() for name, buffer in _buffers(layer).items()}
            for layer in self._layers
        ]
        # A whitening makes new tensors each time, so that the old ones are as good as copies.
        self._latents = [
            {task: whitening.of_task.get(task) for task in self._tasks}
            for whitening in self._whitenings
        ]

    def is_finite(self) -> bool:
        """Whether no running statistic of a layer is NaN or infinite."""
        buffers = [b for layer in self._layers for b in _buffers(layer).values()]
        floats = [buffer for buffer in buffers if buffer.is_floating_point()]
        return not floats or is_finite(norm_of(floats)) or all_finite(floats)

    @torch.no_grad()
    def restore(self) -> None:
        """Makes the state what was noted."""
        for layer, buffers in zip(self._layers, self._buffers, strict=True):
            now = _buffers(layer)
            for name, buffer in buffers.items():
                now[name].copy_(buffer)
        for whitening, latents in zip(self._whitenings, self._latents, strict=True):
            for task, kept in latents.items():
                whitening.of_task.pop(task, None)
                if kept is not None:
                    whitening.of_task[task] = kept


def _with_statistics(model: nn.Module) -> Iterator[nn.Module]:
    for module in model.modules():
        if isinstance(module, TaskStatistics):
            yield from module.of_task.values()
        elif isinstance(getattr(module, "running_mean", None), Tensor):
            yield module


def _buffers(layer: nn.Module) -> dict[str, Tensor]:
    named = layer.named_buffers(recurse=False)
    return {name: buffer for name, buffer in named if not isinstance(buffer, EmptySlot)}
