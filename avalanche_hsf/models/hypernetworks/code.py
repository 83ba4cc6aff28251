"""The few numbers that one task keeps."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn

from avalanche_hsf.models.tasks.precise import Precise


class TaskCode(Precise):
    """Named tensors of a finished task, packed into bits.

    Each tensor is rounded to a grid of 2^bits - 1 steps between minus and plus its largest entry,
    before the task is evaluated: rounding is part of what was learned, not forgetting.

    Args:
        values: The tensors by name, finite.
        bits: Bits kept of each number, 2 to 16; None: all.

    Example:
        >>> code = TaskCode({"C": torch.tensor([[0.5, -1.0]])}, bits=8)
        >>> code.values()["C"]
        tensor([[ 0.5039, -1.0000]])
    """

    PRECISE = ("kept", "scales")
    kept: Tensor
    scales: Tensor

    @torch.no_grad()
    def __init__(self, values: Mapping[str, Tensor], *, bits: int | None) -> None:
        super().__init__()
        self.bits = bits
        self.shapes = {name: tuple(value.shape) for name, value in values.items()}
        flat = [value.detach().flatten() for value in values.values()]
        if bits is None:
            kept, scales = torch.cat(flat), flat[0].new_zeros(0)
        else:
            largest = torch.stack([part.abs().max() for part in flat])
            scales = torch.where(largest > 0, largest, torch.ones_like(largest)) / self._half
            steps = [(part / scale).round() for part, scale in zip(flat, scales, strict=True)]
            kept = _packed(torch.cat(steps).long() + self._half, bits)
        self.register_buffer("kept", kept)
        self.register_buffer("scales", scales)

    def values(self) -> dict[str, Tensor]:
        """The tensors by name."""
        sizes = [prod(shape) for shape in self.shapes.values()]
        flat = self.kept
        if self.bits is not None:
            steps = _unpacked(self.kept, self.bits, sum(sizes)) - self._half
            flat = steps * self.scales.repeat_interleave(torch.tensor(sizes).to(self.scales.device))
        parts = zip(self.shapes.items(), flat.split(sizes), strict=True)
        return {name: part.view(shape) for (name, shape), part in parts}

    @property
    def _half(self) -> int:
        return 2 ** ((self.bits or 0) - 1) - 1


def _packed(numbers: Tensor, bits: int) -> Tensor:
    """Integers from 0 to 2^bits - 1, one after the other, in as few bytes as they need."""
    digits = (numbers.unsqueeze(1) >> torch.arange(bits, device=numbers.device)) & 1
    flat = nn.functional.pad(digits.flatten(), (0, -digits.numel() % 8))
    return (flat.view(-1, 8) << torch.arange(8, device=numbers.device)).sum(dim=1).to(torch.uint8)


def _unpacked(packed: Tensor, bits: int, n: int) -> Tensor:
    """The n integers of `_packed`."""
    digits = (packed.long().unsqueeze(1) >> torch.arange(8, device=packed.device)) & 1
    numbers = digits.flatten()[: n * bits].view(n, bits)
    return (numbers << torch.arange(bits, device=packed.device)).sum(dim=1)
