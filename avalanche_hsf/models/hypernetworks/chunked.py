"""The hypernetwork that writes a network chunk by chunk, and may be smaller than it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_memory, check_size
from avalanche_hsf.models.hypernetworks.base import EmbeddedWeights, follow
from avalanche_hsf.models.hypernetworks.trunk import (
    check_fits,
    check_trunk,
    make_trunk,
    start_as_published,
)

PUBLISHED_SHARE = 11 * 42_000 / 478_410
"""Numbers of the output layer, 10 units and a bias to 42,000, in each of the network's."""


class ChunkedHyperNetwork(EmbeddedWeights):
    r"""theta(e) = [g(e, c_1), ..., g(e, c_m)], one MLP g for all tasks and all chunks.

    The named tensors, flattened and one after the other, are cut into m chunks of one size, the
    last of which may reach beyond the end. g sees the task's embedding e followed by the chunk's
    embedding c_i, which is learned too and shared by all tasks. A chunk can hold parts of several
    tensors. So the output layer, nearly all of a hypernetwork, is one m-th of `MLPHyperNetwork`'s.

    It starts as von Oswald et al.'s code does: layers with Xavier's uniform weights and zero
    biases, task and chunk embeddings with unit variance. Defaults are their settings of Split
    MNIST, 12 chunks of 42,000 for the 478,410 weights of 784-400-400-10; of ten tasks of Permuted
    MNIST: embedding_dim=24, chunk_embedding_dim=8, chunk_size=78_000, hidden_dims=(25, 25),
    activation=nn.ELU.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695, section 2.3.

    Args:
        initial, embedding_dim, embedding_std, seed: As in `HyperNetwork`.
        chunk_embedding_dim: Size of a chunk's embedding, at least 1.
        chunk_size: Numbers in a chunk, at least 1. None: so many that the output layer has 0.97
            numbers for each that is written, as published for Split MNIST.
        hidden_dims: Widths of the hidden layers of g, at least one.
        activation: Makes the nonlinearity after each of them.

    Raises:
        TypeError: An option has the wrong type.
        ValueError: An option is out of its range, or does not fit into memory.

    Example:
        >>> hypernetwork = ChunkedHyperNetwork({"weight": torch.zeros(64, 3)}, chunk_size=50)
        >>> hypernetwork.add_task(0)
        >>> hypernetwork([0])["weight"].shape
        torch.Size([1, 64, 3])
        >>> hypernetwork.chunk_embeddings.shape
        torch.Size([4, 96])
    """

    def __init__(
        self,
        initial: Mapping[str, Tensor],
        *,
        embedding_dim: int = 96,
        embedding_std: float = 1.0,
        chunk_embedding_dim: int = 96,
        chunk_size: int | None = None,
        hidden_dims: Sequence[int] = (10, 10),
        activation: Callable[[], nn.Module] = nn.ReLU,
        seed: int | None = None,
    ) -> None:
        super().__init__(initial, embedding_dim, embedding_std, seed)
        check_size("chunk_embedding_dim", chunk_embedding_dim)
        widths = check_trunk(embedding_dim + chunk_embedding_dim, hidden_dims, activation)
        *starts, n_written = accumulate(map(prod, self.shapes.values()), initial=0)
        if chunk_size is None:
            chunk_size = max(1, round(PUBLISHED_SHARE * n_written / (widths[-1] + 1)))
        check_size("chunk_size", chunk_size)
        n_chunks = ceil(n_written / chunk_size)
        check_fits("chunked", [*widths, chunk_size], n_written, "a smaller chunk_size, hidden_dims")
        check_memory("the chunks' embeddings", n_chunks * chunk_embedding_dim)
        self._starts = dict(zip(self.shapes, starts, strict=True))
        self.chunk_embeddings = nn.Parameter(torch.empty(n_chunks, chunk_embedding_dim))
        self.trunk = make_trunk(widths, activation)
        self.head = nn.Linear(widths[-1], chunk_size)
        start_as_published(self)
        nn.init.normal_(self.chunk_embeddings)
        follow(self, initial)

    @property
    def form(self) -> dict[str, Any]:
        # Both published activations have no numbers, and the same state means another network.
        return {"activation": type(self.trunk[1]).__name__}

    def write(self, e: Tensor, prefix: str = "") -> dict[str, Tensor]:
        """Computes only chunks that hold some of what is asked for, all in one product."""
        size = self.head.out_features
        chunks: dict[int, int] = {}  # the place of each among those that are computed
        where = {}
        for name, shape in self.shapes.items():
            if name.startswith(prefix):
                start, n = self._starts[name], prod(shape)
                for i in range(start // size, ceil((start + n) / size)):
                    chunks.setdefault(i, len(chunks))
                where[name] = chunks[start // size] * size + start % size, n
        if not where:
            return {}
        c: Tensor = self.chunk_embeddings
        if len(chunks) < len(c):
            rows = c.unbind()  # indices would have to travel to a GPU at each step
            c = torch.stack([rows[i] for i in chunks])
        pairs = torch.cat(
            [
                e.unsqueeze(1).expand(-1, len(chunks), -1),
                c.unsqueeze(0).expand(len(e), -1, -1),
            ],
            dim=-1,
        )
        flat = self.head(self.trunk(pairs)).flatten(1)
        return {
            name: flat[:, start : start + n].view(len(e), *self.shapes[name])
            for name, (start, n) in where.items()
        }
