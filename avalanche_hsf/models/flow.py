"""The normalizing flow that shapes the latent space. The only file that knows nflows 0.14."""

from __future__ import annotations

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import AffineCouplingTransform, CompositeTransform
from torch import Tensor, nn

from avalanche_hsf.checks import check_int


class ManifoldNormalizingFlow(nn.Module):
    """A stack of affine couplings with a standard normal base: log p(z0) = log p(u) + log |det J|.

    One coupling keeps half of the vector, a, and maps the other half, b, to (b + t(a)) exp(s(a));
    the halves change roles from layer to layer. t = tanh(net(a)) and s = c * t with one learned
    scale c per feature: the author's form, in which shift and scale share a network and s is
    bounded by |c|, so that the inverse stays well conditioned.

    Source: section 2.4 of the paper; Dinh et al. 2016, https://arxiv.org/abs/1605.08803

    Args:
        dim: Size of z0, at least 2, since a coupling needs two halves.
        n_layers: Number of couplings, at least 1.
        hidden_dim: Hidden width of each coupling's network.

    Example:
        >>> flow = ManifoldNormalizingFlow(24)
        >>> u, log_det = flow(torch.zeros(5, 24))
        >>> u.shape, log_det.shape
        (torch.Size([5, 24]), torch.Size([5]))
    """

    def __init__(self, dim: int, *, n_layers: int = 4, hidden_dim: int = 64) -> None:
        super().__init__()
        self.dim = check_int("dim of the flow", dim, at_least=2)
        check_int("n_layers of the flow", n_layers, at_least=1)
        check_int("hidden_dim of the flow", hidden_dim, at_least=1)
        n_kept = dim // 2
        couplings = [
            _Coupling(dim, n_kept if layer % 2 == 0 else dim - n_kept, layer % 2 == 0, hidden_dim)
            for layer in range(n_layers)
        ]
        self._flow = Flow(CompositeTransform(couplings), StandardNormal([dim]))

    def forward(self, z0: Tensor) -> tuple[Tensor, Tensor]:
        """From latent to base.

        Args:
            z0: A `n x dim` tensor.

        Returns:
            u, a `n x dim` tensor, and log |det du/dz0|, a tensor of shape (n,), in nats.
        """
        u, log_det = self._flow._transform(z0)
        return u, log_det

    def inverse(self, u: Tensor) -> Tensor:
        """From base to latent, `n x dim` to `n x dim`."""
        z0, _ = self._flow._transform.inverse(u)
        return z0

    @property
    def inverted(self) -> nn.Module:
        """The inverse as a module of its own, with the same parameters under the same names."""
        return _Inverted(self)

    def log_prob(self, z0: Tensor) -> Tensor:
        """log p(z0) in nats, for a `n x dim` tensor a tensor of shape (n,)."""
        return self._flow.log_prob(z0)

    def base_log_prob(self, u: Tensor) -> Tensor:
        """log N(u; 0, I) in nats, for a `n x dim` tensor a tensor of shape (n,)."""
        return self._flow._distribution.log_prob(u)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n draws of z0, a `n x dim` tensor, through the inverse of the flow."""
        check_int("n", n, at_least=1)
        like = next(self.parameters())
        u = torch.randn(n, self.dim, generator=generator, device=like.device, dtype=like.dtype)
        return self.inverse(u)


class _Inverted(nn.Module):
    def __init__(self, flow: ManifoldNormalizingFlow) -> None:
        super().__init__()
        self._flow = flow._flow

    def forward(self, u: Tensor) -> Tensor:
        return self._flow._transform.inverse(u)[0]


class _Coupling(AffineCouplingTransform):
    """An affine coupling between the first and the last features of a vector.

    The stock class moves features by index (`index_put`, which made a whole flow 1.28 times the
    time of a hand-written one) and scales by sigmoid(s + 2) + 1e-3, whose inverse loses all
    digits in float32 once the weights have grown. Here: slices, and exp of a bounded number.
    """

    def __init__(self, dim: int, n_kept: int, keep_first: bool, hidden_dim: int) -> None:
        mask = [0] * n_kept + [1] * (dim - n_kept)
        super().__init__(
            mask if keep_first else mask[::-1],
            lambda n_in, n_out: _ShiftAndScale(n_in, n_out // 2, hidden_dim),
        )
        self._sizes = [n_kept, dim - n_kept] if keep_first else [dim - n_kept, n_kept]
        self._keep_first = keep_first

    def forward(self, inputs: Tensor, context: None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self._split(inputs)
        t, s = self.transform_net(kept)
        return self._join(kept, (moved + t) * torch.exp(s)), s.sum(dim=1)

    def inverse(self, inputs: Tensor, context: None = None) -> tuple[Tensor, Tensor]:
        kept, moved = self._split(inputs)
        t, s = self.transform_net(kept)
        return self._join(kept, moved * torch.exp(-s) - t), -s.sum(dim=1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, last = x.split(self._sizes, dim=1)
        return (first, last) if self._keep_first else (last, first)

    def _join(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat((kept, moved) if self._keep_first else (moved, kept), dim=1)


class _ShiftAndScale(nn.Module):
    """The shift t(a) = tanh(net(a)) and the log scale s(a) = c * t(a) of one coupling."""

    def __init__(self, n_in: int, n_out: int, hidden_dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(n_in, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, n_out), nn.Tanh()
        )
        self.scale = nn.Parameter(torch.randn(n_out) * 0.01)

    def forward(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        t = self.net(kept)
        return t, self.scale * t
