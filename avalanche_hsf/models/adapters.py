"""Ways to change a trained tensor for one task by a few numbers."""

from __future__ import annotations

from abc import abstractmethod
from math import prod, sqrt

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """Turns a short code into a change of one tensor W of the main network.

    Attributes:
        size: Numbers in a code.
    """

    size: int

    @abstractmethod
    def start(self, generator: torch.Generator) -> Tensor:
        """A code of shape (size,) that changes nothing, and from which training can start."""

    @abstractmethod
    def forward(self, code: Tensor, W: Tensor) -> Tensor:
        """The tensors of k tasks.

        Args:
            code: A `k x size` tensor.
            W: The tensor to change, of any shape.

        Returns:
            A `k x *shape` tensor.
        """


class Shift(Adapter):
    """W + code: a number for each entry. For biases, and small matrices."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = prod(shape)

    def start(self, generator: torch.Generator) -> Tensor:
        return torch.zeros(self.size)

    def forward(self, code: Tensor, W: Tensor) -> Tensor:
        return W + code.view(-1, *W.shape)


class LowRank(Adapter):
    """W + A B with A `out x rank` and B `rank x in`; it starts with A = 0 and a random B.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685
    """

    def __init__(self, shape: tuple[int, ...], rank: int) -> None:
        super().__init__()
        self.n_out, self.n_in = shape
        self.rank = rank
        self.size = rank * (self.n_out + self.n_in)

    def start(self, generator: torch.Generator) -> Tensor:
        B = torch.randn(self.rank * self.n_in, generator=generator) / sqrt(self.n_in)
        return torch.cat((torch.zeros(self.n_out * self.rank), B))

    def forward(self, code: Tensor, W: Tensor) -> Tensor:
        A, B = code.split((self.n_out * self.rank, self.rank * self.n_in), dim=1)
        return torch.baddbmm(
            W.expand(len(code), -1, -1),
            A.view(-1, self.n_out, self.rank),
            B.view(-1, self.rank, self.n_in),
        )


class Scale(Adapter):
    """W scaled by 1 + code, one number for each output unit.

    Source: Perez et al. 2018 (FiLM), https://arxiv.org/abs/1709.07871
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = shape[0]

    def start(self, generator: torch.Generator) -> Tensor:
        return torch.zeros(self.size)

    def forward(self, code: Tensor, W: Tensor) -> Tensor:
        return W * (1 + code).unsqueeze(2)
