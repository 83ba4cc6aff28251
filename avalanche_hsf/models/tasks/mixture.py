"""A density of one task's latents: a mixture of flat Gaussians, a few kilobytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from avalanche_hsf.models.tasks.precise import Precise


class Components(NamedTuple):
    """Means, `K x dim`; axes, `K x q x dim`; variances besides; weights."""

    means: Tensor
    axes: Tensor
    variances: Tensor
    weights: Tensor


class LatentMixture(Precise):
    r"""p(z) = sum_k w_k N(z; m_k, A_k^T A_k + (s_k^2 + b^2) I), A_k of few rows, a Gaussian's axes.

    Latents of data that lie on a curve lie on one too, and a component with one axis is a piece of
    it; images need several axes and fewer components. The number of axes is the dimension that the
    latents have in the small,

    q = [ mean_i (1 / (n - 1)) sum_j log(r_i,n / r_i,j) ]^-1,  rounded,

    r_i,j the distance of latent i to its j-th neighbour, n = 20. v vectors make v / (q + 1)
    components, by k-means and expectation maximisation in float64, from fixed draws: the same
    latents give the same mixture. Vectors are kept in 16 bits.

    b, a hundredth of the latents' root mean variance, blurs the density: one of points on a curve
    would have no bound. Samples are drawn without the blur.

    Source: Tipping and Bishop 1999, https://doi.org/10.1162/089976699300016728; Ghosh et al. 2020,
    https://arxiv.org/abs/1903.12436, for mixtures fitted to a trained autoencoder's latents; Levina
    and Bickel 2004, "Maximum likelihood estimation of intrinsic dimension", for q.

    Example:
        >>> circle = torch.linspace(0, 6.28, 200)
        >>> z0 = torch.stack((circle.cos(), circle.sin()), dim=1)
        >>> mixture = LatentMixture.fit(z0, n_vectors=40)
        >>> bool(mixture.log_prob(z0).mean() > mixture.log_prob(0.9 * z0).mean())
        True
    """

    BLUR = 0.01  # of the root mean variance
    MIN_VARIANCE = 1e-10  # of the blur, for latents that are all the same
    STEPS = 10  # of expectation maximisation: thirty gain 0.3 nats more, of 90
    SAMPLES = 3000  # that are looked at, at most
    PRECISE = ("numbers", "scales")
    _HALF = 2**15 - 1

    vectors: Tensor
    numbers: Tensor
    scales: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(0, 1, dim, dtype=torch.int16))
        self.register_buffer("numbers", torch.zeros(2, 0))  # s^2 and w of each component
        # Of the means, of the axes; b^2; and the latents' centre, where they are far from zero.
        self.register_buffer("scales", torch.zeros(3))
        self.register_load_state_dict_pre_hook(_resize)

    @classmethod
    @torch.no_grad()
    def fit(cls, z0: Tensor, *, n_vectors: int) -> LatentMixture:
        """The mixture of some latents, a `n x dim` tensor of finite numbers."""
        z = z0.detach().to("cpu", torch.float64)
        generator = torch.Generator().manual_seed(0)
        z = z[torch.randperm(len(z), generator=generator)[: cls.SAMPLES]]
        centre = _centre(z)
        z = z - centre if len(centre) else z
        blur = float(z.var(dim=0, correction=0).mean() * cls.BLUR**2)
        blur = max(blur, cls.MIN_VARIANCE)
        rank = min(round(dimension_of(z)), z.shape[1] - 1, n_vectors - 1)
        # A component needs more latents than it has axes.
        k = max(1, min(n_vectors // (rank + 1), len(z) // (rank + 3)))
        products = (z.unsqueeze(2) * z.unsqueeze(1)).flatten(1)
        parts = _maximised(z, products, _clusters(z, k, generator), rank)
        for _ in range(cls.STEPS):
            shares = _log_probs(z, parts, blur).softmax(dim=1)
            parts = _maximised(z, products, shares, rank)
        mixture = cls(z.shape[1])
        scales = [max(float(part.abs().max()) / cls._HALF, 1e-30) for part in parts[:2]]
        means, axes = parts.means.unsqueeze(1) / scales[0], parts.axes / scales[1]
        mixture.vectors = torch.cat((means, axes), dim=1).round().to(torch.int16)
        mixture.numbers = torch.stack((parts.variances, parts.weights)).float()
        mixture.scales = torch.tensor([*scales, blur, *centre.tolist()])
        return mixture.to(z0.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p of latents, `n x dim`, in nats, shape (n,)."""
        scales = self.scales.double()
        around = z.double() - scales[3:] if len(scales) > 3 else z.double()
        return _log_probs(around, self._parts(), scales[2]).logsumexp(dim=1).to(z.dtype)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n draws, `n x dim`, in float64."""
        means, axes, variances, weights = self._parts()
        if len(self.scales) > 3:
            means = means + self.scales[3:].double()
        k = torch.multinomial(weights, n, replacement=True, generator=generator)
        along = means.new_empty(n, 1, axes.shape[1]).normal_(generator=generator)
        rest = means.new_empty(n, means.shape[1]).normal_(generator=generator)
        along = torch.bmm(along, axes[k]).squeeze(1)
        return means[k] + along + variances[k].sqrt().unsqueeze(1) * rest

    def _parts(self) -> Components:
        scales, (variances, weights) = self.scales.double(), self.numbers.double()
        means, axes = self.vectors[:, 0] * scales[0], self.vectors[:, 1:] * scales[1]
        return Components(means, axes, variances, weights)


def dimension_of(z: Tensor, n_neighbours: int = 20) -> float:
    """The dimension of a set of points in the small, see `LatentMixture`; at least 1.

    >>> x = torch.linspace(0, 1, 200)
    >>> round(dimension_of(torch.stack((x, x.sin(), x.cos()), dim=1)))
    1
    """
    n = min(n_neighbours, len(z) - 1)
    if n < 2:
        return 1.0
    distances = torch.cdist(z, z).topk(n + 1, largest=False).values[:, 1:].clamp(min=1e-12)
    logs = (distances[:, -1:] / distances).log().sum(dim=1) / (n - 1)
    return max(1.0, 1 / max(float(logs.mean()), 1e-3))


def _clusters(z: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Which point belongs to which of k clusters, `n x k` of 0 and 1: ten steps of k-means++."""
    centres = z[:1]  # the points are in random order
    nearest = (z - centres).square().sum(dim=1)
    for _ in range(k - 1):
        chosen = torch.multinomial(nearest + 1e-30, 1, generator=generator)
        centres = torch.cat((centres, z[chosen]))
        nearest = torch.minimum(nearest, (z - z[chosen]).square().sum(dim=1))
    for _ in range(10):
        members = nn.functional.one_hot(torch.cdist(z, centres).argmin(dim=1), k).to(z)
        sizes = members.sum(dim=0).unsqueeze(1)
        centres = torch.where(sizes > 0, members.T @ z / sizes.clamp(min=1), centres)
    return members


def _centre(z: Tensor) -> Tensor:
    """What latents are far from zero by, shape (dim,), as 32 bits hold it; empty if they are not.

    The rounding of means goes by the greatest of them, and would swallow what is small beside it.
    """
    centre = z.mean(dim=0).float().double()
    far = z.abs().max() > 8 * (z - centre).abs().max()
    return centre if far else centre[:0]


def _log_probs(z: Tensor, parts: Components, blur: Tensor | float) -> Tensor:
    """log of w_k N(z; ...) for each point and component, `n x K`."""
    means, axes, variances, weights = parts
    k, q, dim = axes.shape
    s2 = variances + blur
    # The q x q matrix A A^T + s^2 I tells all about A^T A + s^2 I, after rounding too.
    inner = axes @ axes.transpose(1, 2) + torch.diag_embed(s2.unsqueeze(1).expand(k, q))
    root = torch.linalg.cholesky(inner)
    along = (z @ axes.reshape(-1, dim).T).view(-1, k, q) - (axes @ means.unsqueeze(2)).squeeze(2)
    along = torch.linalg.solve_triangular(root, along.permute(1, 2, 0), upper=False)
    squares = z.square().sum(dim=1, keepdim=True) - 2 * z @ means.T + means.square().sum(dim=1)
    distance = (squares.clamp(min=0) - along.square().sum(dim=1).T) / s2
    log_det = (dim - q) * s2.log() + 2 * root.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    return weights.log() - 0.5 * (distance + log_det + dim * math.log(2 * math.pi))


def _maximised(z: Tensor, products: Tensor, shares: Tensor, rank: int) -> Components:
    """The likeliest components, given each point's z z^T and its shares in them, `n x K`."""
    dim = z.shape[1]
    sizes = shares.sum(dim=0) + 1e-9
    means = shares.T @ z / sizes.unsqueeze(1)
    covariances = (shares.T @ products / sizes.unsqueeze(1)).view(-1, dim, dim)
    covariances = covariances - means.unsqueeze(2) * means.unsqueeze(1)
    values, vectors = torch.linalg.eigh(covariances + 1e-12 * torch.eye(dim).to(z))
    values = values.clamp(min=0)
    variances = values[:, : dim - rank].mean(dim=1)
    lengths = (values[:, dim - rank :] - variances.unsqueeze(1)).clamp(min=0).sqrt()
    axes = (vectors[:, :, dim - rank :] * lengths.unsqueeze(1)).transpose(1, 2)
    return Components(means, axes, variances, sizes / sizes.sum())


def _resize(module: LatentMixture, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Makes room for as many components and axes as are to be loaded."""
    for name in ("vectors", "numbers"):
        stored = state.get(f"{prefix}{name}")
        if stored is not None:
            own = getattr(module, name)
            shape = (*stored.shape[:2], *own.shape[2:])
            setattr(module, name, own.new_empty(shape))
    scales = state.get(f"{prefix}scales")
    if scales is not None:
        module.scales = module.scales.new_empty(scales.shape)
