"""Buffers that half precision would spoil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Precise(nn.Module):
    """A module whose buffers of some names stay in float32 or more, whatever it is converted to.

    What old tasks are read from must not be rounded anew each time that a task is added.
    """

    PRECISE: ClassVar[tuple[str, ...]] = ()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # torch 2: every conversion and move, `to`, `half`, `cuda` and so on, comes by here.
        before = {name: getattr(self, name) for name in self.PRECISE}
        super()._apply(fn, recurse)
        for name, tensor in before.items():
            now = getattr(self, name)
            if now is not None and now.dtype in (torch.float16, torch.bfloat16):
                setattr(self, name, tensor.to(now.device))
        return self
