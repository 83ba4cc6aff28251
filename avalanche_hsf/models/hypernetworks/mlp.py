"""The hypernetwork of the continual-learning literature: one MLP for all weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from avalanche_hsf.checks import check_layers, check_size, numbers_in, shown
from avalanche_hsf.models.hypernetworks.base import EmbeddedWeights, follow

HUGE = 10_000_000
"""Numbers from which a hypernetwork says that it is ten times as large as what it writes."""


class MLPHyperNetwork(EmbeddedWeights):
    r"""theta_name(e) = V_name g(e) + c_name with one MLP g for all names.

    Layers start with Xavier's uniform weights and zero biases, embeddings with unit variance.

    Source: von Oswald et al. 2020, https://arxiv.org/abs/1906.00695, without chunks.

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
        if not isinstance(hidden_dims, Sequence) or isinstance(hidden_dims, (str, bytes)):
            raise TypeError(f"hidden_dims must be a list of widths, got {shown(hidden_dims)}")
        if not hidden_dims:
            raise ValueError("hidden_dims must have at least one width, got none")
        widths = [embedding_dim, *(check_size("a hidden width", h) for h in hidden_dims)]
        n_written = sum(map(prod, self.shapes.values()))
        check_layers("the hypernetwork", *widths, n_written)
        if isinstance(activation, nn.Module) or not callable(activation):
            raise TypeError(
                f"activation must make modules, as nn.ReLU does, got {shown(activation)}"
            )
        _say_if_huge(n_written, widths)
        self.trunk = nn.Sequential()
        for n_in, n_out in pairwise(widths):
            layer = nn.Linear(n_in, n_out)
            if not isinstance(nonlinearity := activation(), nn.Module):
                raise TypeError(f"activation must make modules, but makes {shown(nonlinearity)}")
            self.trunk.extend([layer, nonlinearity])
        heads = [nn.Linear(widths[-1], prod(shape)) for shape in self.shapes.values()]
        self.heads = nn.ModuleList(heads)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        follow(self, initial)

    def write(self, e: Tensor, prefix: str = "") -> dict[str, Tensor]:
        return self._by_name(self.heads, self.trunk(e), prefix)


def _say_if_huge(n: int, widths: Sequence[int]) -> None:
    """Before anything is allocated."""
    size = numbers_in(*widths, n)
    if size >= 10 * n and size >= HUGE:
        warnings.warn(
            f'the hypernetwork "mlp" has {size:,} numbers, {size / n:.0f} times what it writes '
            f"({size * 4 / 2**30:.1f} GiB): give it smaller hidden_dims, write fewer tensors "
            '(written=), or use "isolated" or "delta"',
            stacklevel=2,
        )
