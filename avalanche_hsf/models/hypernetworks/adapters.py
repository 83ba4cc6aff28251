"""Ways to change a trained tensor for one task by a few numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import prod, sqrt

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_choice

KINDS = ("low-rank", "core", "scale", "shift")


class Adapter(nn.Module, ABC):
    """Turns a code, parts of the given shapes, into a change of one tensor W of the network."""

    def __init__(self, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.shapes = shapes

    @property
    def size(self) -> int:
        """Numbers in a code."""
        return sum(prod(shape) for shape in self.shapes.values())

    def start(self, like: Tensor, generator: torch.Generator | None) -> dict[str, Tensor]:
        """The parts of a code that changes nothing; training can start if there is a generator."""
        return {name: like.new_zeros(shape) for name, shape in self.shapes.items()}

    @abstractmethod
    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        """W for k tasks, `k x *W.shape`, from a `k x *shape` tensor for each part of the code."""


class Shift(Adapter):
    """W + b: a number for each entry. For biases, and small matrices."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__({"b": shape})

    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        return W + code["b"]


class LowRank(Adapter):
    """W + A B with A `out x rank` and B `rank x in`; it starts with A = 0 and a random B.

    All dimensions of W but the first count as in, those of a convolution's kernel too.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685
    """

    def __init__(self, shape: tuple[int, ...], rank: int) -> None:
        super().__init__({"A": (shape[0], rank), "B": (rank, prod(shape[1:]))})

    def start(self, like: Tensor, generator: torch.Generator | None) -> dict[str, Tensor]:
        code = super().start(like, generator)
        if generator is not None:
            B = torch.randn(self.shapes["B"], generator=generator) / sqrt(self.shapes["B"][1])
            code["B"] = B.to(like)
        return code

    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        return W + (code["A"] @ code["B"]).view(-1, *W.shape)


class Scale(Adapter):
    """W with its rows scaled by 1 + s, one number for each output unit.

    Source: Perez et al. 2018 (FiLM), https://arxiv.org/abs/1709.07871
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__({"s": (shape[0],)})

    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        return W * (1 + code["s"]).view(-1, *self.shapes["s"], *[1] * (W.dim() - 1))


class Core(Adapter):
    """W + P C Q with C of at most `size` numbers, kept per task; for a vector, W + P c.

    P and Q are orthonormal random bases, the same for all tasks.

    Source: Balazy et al. 2024 (LoRA-XS), https://arxiv.org/abs/2405.17604, with random bases
    instead of singular vectors; Li et al. 2018, https://arxiv.org/abs/1804.08838, for how few
    random directions a task needs.
    """

    P: Tensor
    Q: Tensor

    def __init__(self, shape: tuple[int, ...], size: int, generator: torch.Generator) -> None:
        n_out, n_in = shape[0], prod(shape[1:])
        size = min(size, n_out * n_in)
        p = min(n_out, max(int(sqrt(size)), size // n_in))
        q = min(n_in, size // p)
        super().__init__({"C": (p, q)})
        self.register_buffer("P", _orthonormal(n_out, p, generator))
        self.register_buffer("Q", _orthonormal(n_in, q, generator).T)

    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        return W + (self.P @ code["C"] @ self.Q).view(-1, *W.shape)


def _orthonormal(n: int, k: int, generator: torch.Generator) -> Tensor:
    """A `n x k` tensor of orthogonal columns whose rows have length 1 on average."""
    return torch.linalg.qr(torch.randn(n, k, generator=generator)).Q * sqrt(n / k)


def make_adapter(
    kind: str, shape: tuple[int, ...], size: int, generator: torch.Generator
) -> Adapter | None:
    """The adapter of a kind for one tensor, or None if the kind leaves that tensor alone.

    Args:
        kind: One of `KINDS`. "low-rank": matrices change by rank `size` (entry by entry where that
            is shorter), vectors entry by entry. "core": matrices by a core of at most `size`
            numbers, vectors by a sixteenth of that. "scale": matrices by a factor for each
            output unit, vectors entry by entry. "shift": vectors alone, entry by entry.
        shape: Of the tensor.
        size: At least 1.
        generator: Source of the bases of a core.

    Raises:
        ValueError: The kind is unknown; the message lists the valid ones.
    """
    check_choice("adapter", kind, KINDS)
    if kind == "core":
        return Core(shape, size if len(shape) > 1 else max(size // 16, 1), generator)
    if len(shape) == 1:
        return Shift(shape)
    if kind == "low-rank":
        return min(Shift(shape), LowRank(shape, size), key=lambda adapter: adapter.size)
    return Scale(shape) if kind == "scale" else None
