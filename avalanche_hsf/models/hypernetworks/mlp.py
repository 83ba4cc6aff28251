"""The hypernetwork of the continual-learning literature: one MLP for all weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from torch import Tensor, nn

from avalanche_hsf.models.hypernetworks.base import EmbeddedWeights, follow
from avalanche_hsf.models.hypernetworks.trunk import (
    check_fits,
    check_trunk,
    make_trunk,
    start_as_published,
)


class MLPHyperNetwork(EmbeddedWeights):
    r"""theta_name(e) = V_name g(e) + c_name with one MLP g for all names.

    Layers start with Xavier's uniform weights and zero biases, embeddings with unit variance.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695, without chunks; for
    these see `ChunkedHyperNetwork`.

    Args:
        initial, embedding_dim, embedding_std, seed: As in `HyperNetwork`.
        hidden_dims: Widths of the hidden layers of g, at least one.
        activation: Makes the nonlinearity after each of them.

    Example:
        >>> import torch
        >>> hypernetwork = MLPHyperNetwork({"weight": torch.zeros(64, 3)})
        >>> hypernetwork.add_task(0)
        >>> hypernetwork([0])["weight"].shape
        torch.Size([1, 64, 3])
    """

    def __init__(
        self,
        initial: Mapping[str, Tensor],
        *,
        embedding_dim: int = 16,
        embedding_std: float = 1.0,
        hidden_dims: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = nn.ReLU,
        seed: int | None = None,
    ) -> None:
        super().__init__(initial, embedding_dim, embedding_std, seed)
        widths = check_trunk(embedding_dim, hidden_dims, activation)
        n_written = sum(map(prod, self.shapes.values()))
        check_fits("mlp", [*widths, n_written], n_written, 'smaller hidden_dims, use "chunked"')
        self.trunk = make_trunk(widths, activation)
        heads = [nn.Linear(widths[-1], prod(shape)) for shape in self.shapes.values()]
        self.heads = nn.ModuleList(heads)
        start_as_published(self)
        follow(self, initial)

    def write(self, e: Tensor, prefix: str = "") -> dict[str, Tensor]:
        return self._by_name(self.heads, self.trunk(e), prefix)
