"""The paper's hypernetwork: one small network for each tensor that it writes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from torch import Tensor, nn

from avalanche_hsf.checks import check_layers
from avalanche_hsf.models.hypernetworks.base import EmbeddedWeights, follow


class HyperNetwork(EmbeddedWeights):
    r"""Writes every named tensor of a main network from a learned task embedding.

    theta_name(e) = V ReLU(U e + a) + c, with U, a, V, c of its own for each name and
    h = (embedding_dim + numel) // 4 hidden units for a matrix, half of that for its bias: the
    author's sizes, which make it far larger than what it writes. U, a, V, c are shared by all
    tasks, see `EmbeddedWeights`.

    Source: Ha et al. 2016, https://arxiv.org/abs/1609.09106; section 2.2 of the paper; sizes
    from the author's public code.

    Args:
        initial: Initial value of each tensor to write, by name. Only names and shapes are used,
            as in the paper: the first weights are whatever the generators' own draws give.
        embedding_dim: Size of a task embedding, at least 1.
        embedding_std: Standard deviation of a new embedding, at least 0.
        seed: Seed of the embeddings' draws; if None it is drawn from torch's global generator.

    Example:
        >>> import torch
        >>> hypernetwork = HyperNetwork({"weight": torch.zeros(64, 3)})
        >>> hypernetwork.add_task(0)
        >>> hypernetwork([0])["weight"].shape
        torch.Size([1, 64, 3])
    """

    def __init__(
        self,
        initial: Mapping[str, Tensor],
        *,
        embedding_dim: int = 16,
        embedding_std: float = 0.02,
        seed: int | None = None,
    ) -> None:
        super().__init__(initial, embedding_dim, embedding_std, seed)
        self.generators = nn.ModuleList()
        n, largest = embedding_dim, max(map(prod, self.shapes.values()))
        check_layers("the hypernetwork", n, (n + largest) // 4, largest)
        h = 1
        for shape in self.shapes.values():
            # The bias of a layer follows its weight and has half the hidden units.
            h = (embedding_dim + prod(shape)) // 4 if len(shape) > 1 else h // 2
            hidden, out = nn.Linear(embedding_dim, max(h, 1)), nn.Linear(max(h, 1), prod(shape))
            self.generators.append(nn.Sequential(hidden, nn.ReLU(), out))
        follow(self, initial)

    def write(self, e: Tensor, prefix: str = "") -> dict[str, Tensor]:
        return self._by_name(self.generators, e, prefix)
