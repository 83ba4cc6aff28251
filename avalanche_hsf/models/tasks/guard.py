"""The check of training passes that keeps NaN and infinity out of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from avalanche_hsf._private.torch import at_end_of_backward
from avalanche_hsf.divergence import (
    OVERFLOW,
    DivergedError,
    all_finite,
    is_finite,
    norm_of,
    not_finite,
    why_stopped,
)
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
            cause = "NaN or infinite entries in the input"
            raise DivergedError(why_stopped(self._place(tasks), tasks, cause, "clean the data"))

    @torch.compiler.disable
    def watch(self, model: nn.Module, out: Any, tasks: Sequence[int]) -> None:
        """Has `backward` raise DivergedError at gradients that are not finite."""
        if not self.on or self.replaced:
            return
        place, queued = self._place(tasks), False
        cure = "clean the data, or use a smaller learning rate"

        def stop(cause: str) -> NoReturn:
            weights = not_finite(model.named_parameters())
            cause = f"weights are NaN or infinite ({weights})" if weights else cause
            raise DivergedError(why_stopped(place, tasks, cause, cure))

        def begin(gradient: Tensor) -> None:
            nonlocal queued
            if not all_finite([gradient]):
                stop("the gradient of the output is NaN or infinite, so the loss or a target is")
            if not queued:
                at_end_of_backward(end)
                queued = True

        def end() -> None:
            nonlocal queued
            queued = False
            named = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
            if not is_finite(norm_of(gradient for _, gradient in named)):
                names = not_finite(named)
                stop(f"gradients are NaN or infinite ({names})" if names else OVERFLOW)

        for part in tensors_of(out):
            if part.requires_grad:
                part.register_hook(begin)

    def _place(self, tasks: Sequence[int]) -> str:
        return f"at training pass {max(self.passes.get(task, 0) for task in tasks)}"
