"""Ways to change a trained tensor for one task by a few numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from math import prod, sqrt

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """Turns a short code into a change of one tensor W of the main network.

    Attributes:
        shapes: Shape of each part of a code, by name.
    """

    shapes: dict[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """Numbers in a code."""
        return sum(prod(shape) for shape in self.shapes.values())

    def start(self, generator: torch.Generator) -> dict[str, Tensor]:
        """The parts of a code that changes nothing, and from which training can start."""
        return {name: torch.zeros(shape) for name, shape in self.shapes.items()}

    @abstractmethod
    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        """The tensors of k tasks.

        Args:
            code: For each part a `k x *shape` tensor.
            W: The tensor to change, of any shape.

        Returns:
            A `k x *shape` tensor.
        """


class Shift(Adapter):
    """W + b: a number for each entry. For biases, and small matrices."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shapes = {"b": shape}

    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        return W + code["b"]


class LowRank(Adapter):
    """W + A B with A `out x rank` and B `rank x in`; it starts with A = 0 and a random B.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685
    """

    def __init__(self, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        n_out, n_in = shape
        self.shapes = {"A": (n_out, rank), "B": (rank, n_in)}

    def start(self, generator: torch.Generator) -> dict[str, Tensor]:
        B = torch.randn(self.shapes["B"], generator=generator) / sqrt(self.shapes["B"][1])
        return {"A": torch.zeros(self.shapes["A"]), "B": B}

    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        return torch.baddbmm(W.expand(len(code["A"]), -1, -1), code["A"], code["B"])


class Scale(Adapter):
    """W with its rows scaled by 1 + s, one number for each output unit.

    Source: Perez et al. 2018 (FiLM), https://arxiv.org/abs/1709.07871
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shapes = {"s": (shape[0],)}

    def forward(self, code: Mapping[str, Tensor], W: Tensor) -> Tensor:
        return W * (1 + code["s"]).unsqueeze(2)
