"""The few numbers that one task keeps."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn


class TaskCode(nn.Module):
    """Named tensors of one task: parameters while it trains, packed into bits once it is done.

    Closing rounds each tensor to a grid of 2^bits - 1 steps between minus and plus its largest
    entry, before the task is evaluated: rounding is part of what was learned, not forgetting.

    Args:
        start: First value of each tensor, by name.
        bits: Bits kept of each number, 2 to 16; None: all, as float32.

    Example:
        >>> code = TaskCode({"C": torch.tensor([[0.5, -1.0]])}, bits=8)
        >>> code.close()
        >>> len(list(code.parameters())), code.values()["C"]
        (0, tensor([[ 0.5039, -1.0000]]))
    """

    kept: Tensor
    scales: Tensor

    def __init__(self, start: Mapping[str, Tensor], *, bits: int | None) -> None:
        super().__init__()
        self.bits = bits
        self.shapes = {name: tuple(value.shape) for name, value in start.items()}
        self.register_buffer("kept", None)
        self.register_buffer("scales", None)
        self._open(start)

    @property
    def is_open(self) -> bool:
        """Whether the task is in training."""
        return self.kept is None

    def values(self) -> dict[str, Tensor]:
        """The tensors by name."""
        if self.is_open:
            return dict(self.named_parameters())
        sizes = [prod(shape) for shape in self.shapes.values()]
        flat = self.kept
        if self.bits is not None:
            steps = _unpacked(self.kept, self.bits, sum(sizes)) - self._half
            flat = steps * self.scales.repeat_interleave(torch.tensor(sizes).to(self.scales.device))
        parts = zip(self.shapes.items(), flat.split(sizes), strict=True)
        return {name: part.view(shape) for (name, shape), part in parts}

    @torch.no_grad()
    def close(self) -> None:
        """Ends the training of the task; does nothing if that is done."""
        if not self.is_open:
            return
        flat = [value.detach().flatten() for value in self.values().values()]
        if self.bits is None:
            self.kept, self.scales = torch.cat(flat), flat[0].new_zeros(0)
        else:
            largest = torch.stack([part.abs().max() for part in flat])
            self.scales = torch.where(largest > 0, largest, torch.ones_like(largest)) / self._half
            steps = [(part / scale).round() for part, scale in zip(flat, self.scales, strict=True)]
            self.kept = _packed(torch.cat(steps).long() + self._half, self.bits)
        for name in self.shapes:
            delattr(self, name)

    def reopen(self) -> None:
        """Makes the tensors trainable again; does nothing if they are."""
        if not self.is_open:
            values = self.values()
            self.kept = self.scales = None  # type: ignore[assignment]
            self._open(values)

    @property
    def _half(self) -> int:
        return 2 ** ((self.bits or 0) - 1) - 1

    def _open(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.register_parameter(name, nn.Parameter(value.detach().clone()))


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
