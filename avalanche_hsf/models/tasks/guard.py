"""The check of training passes that keeps NaN and infinity out of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf._private import at_end_of_backward
from avalanche_hsf.divergence import DivergedError, all_finite, is_finite, norm_of, not_finite
from avalanche_hsf.models.tasks.nested import tensors_of


class StepGuard:
    """Stops training before a step that would spoil weights, in any loop.

    Checked are passes in training mode with gradients enabled: the input before the pass, the
    gradient of the output when `backward` begins, and those of the model's parameters when it
    ends. Each raises before an optimizer can take a step, so that all weights stay as they are.
    Nothing that is computed changes.

    Attributes:
        on: False: check nothing. A `GradScaler`, which skips steps with infinite gradients itself,
            and a CUDA graph of a whole step, which cannot read a value, need that.
        replaced: Whether something else checks the present step, as `DivergencePlugin` does.
        passes: The number of training passes so far, by task label.
    """

    def __init__(self) -> None:
        self.on = True
        self.replaced = False
        self.passes: dict[int, int] = {}

    @torch.compiler.disable
    def check_input(self, x: Any, tasks: Sequence[int]) -> None:
        """Counts the pass; DivergedError if the input has an entry that is not finite."""
        for task in tasks:
            self.passes[task] = self.passes.get(task, 0) + 1
        if self.on and not self.replaced and not all_finite(tensors_of(x)):
            raise DivergedError(self._message(tasks, "the input has NaN or infinite entries"))

    @torch.compiler.disable
    def watch(self, model: nn.Module, out: Any, tasks: Sequence[int]) -> None:
        """Has `backward` raise DivergedError at gradients that are not finite."""
        if not self.on or self.replaced:
            return
        place = self._message(tasks, "{}")
        queued = False

        def begin(gradient: Tensor) -> None:
            nonlocal queued
            if not all_finite([gradient]):
                weights = not_finite(model.named_parameters())
                what = f"the weights {weights} are" if weights else "the gradient of the output is"
                raise DivergedError(place.format(f"{what} NaN or infinite"))
            if not queued:
                at_end_of_backward(end)
                queued = True

        def end() -> None:
            nonlocal queued
            queued = False
            named = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
            if not is_finite(norm_of(gradient for _, gradient in named)):
                names = not_finite(named) or "the weights"
                what = f"the gradients of {names} are NaN, infinite or too large to be squared"
                raise DivergedError(place.format(what))

        for part in tensors_of(out):
            if part.requires_grad:
                part.register_hook(begin)

    def _message(self, tasks: Sequence[int], what: str) -> str:
        passes = max(self.passes.get(task, 0) for task in tasks)
        named = f"task {tasks[0]}" if len(tasks) == 1 else f"tasks {list(tasks)}"
        return (
            f"training diverged at pass {passes} of {named}: {what}. No step was taken, all "
            "weights are as they were before it: clean the data, or use a smaller learning rate, "
            "and zero the gradients before another step"
        )
