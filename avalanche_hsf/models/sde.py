"""The latent dynamics. The only file that knows torchsde 0.2.6."""

from __future__ import annotations

import math

import torch
import torchsde
from torch import Tensor, nn

from avalanche_hsf.checks import check_int, check_positive


class NeuralSDE(nn.Module):
    r"""An Ito SDE with learned drift and diffusion: dZ = f(Z) dt + g(Z) dW, t in [0, T].

    f and g are networks of two hidden tanh layers, g with a sigmoid on top and one Wiener
    process per dimension. Solved by Euler-Maruyama in n steps of h = T/n:

    z <- z + f(z) h + g(z) sqrt(h) xi,  xi ~ N(0, I)

    Source: section 2.3, equation (1) of the paper; Li et al. 2020,
    https://arxiv.org/abs/2001.01328

    Args:
        dim: Size of the state.
        hidden_dim: Width of the hidden layers of f and g.
        horizon: T, dimensionless, above 0.
        n_steps: Solver steps n, at least 1.

    Example:
        >>> sde = NeuralSDE(24, horizon=0.5)
        >>> sde(torch.zeros(5, 24), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([5, 24])
    """

    def __init__(
        self, dim: int, *, hidden_dim: int = 64, horizon: float = 1.0, n_steps: int = 10
    ) -> None:
        super().__init__()
        check_int("dim of the SDE", dim, at_least=1)
        check_int("hidden_dim of the SDE", hidden_dim, at_least=1)
        self.horizon = check_positive("horizon", horizon)
        self.n_steps = check_int("n_steps", n_steps, at_least=1)
        self.drift = _field(dim, hidden_dim)
        self.diffusion = _field(dim, hidden_dim)

    def forward(self, z0: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """The state at time T, one path per row.

        Args:
            z0: A `n x dim` tensor, the state at time 0.
            generator: Source of the noise, on the device of z0; torch's global one if None.

        Returns:
            A `n x dim` tensor.
        """
        # Time runs in units of one step, s = t/h, so that its floats are exact integers: with
        # dt = T/n torchsde takes an extra, tiny step in about half of all (T, n). It stays on
        # the CPU, where the solver compares it after every step.
        h = self.horizon / self.n_steps
        times = torch.tensor([0.0, float(self.n_steps)])
        steps = _PerStep(self.drift, self.diffusion, h)
        noise = _Increments(z0, math.sqrt(h), generator)
        return torchsde.sdeint(steps, z0, times, bm=noise, method="euler", dt=1.0)[-1]

    def diffusion_at(self, z: Tensor) -> Tensor:
        """g(z), `n x dim` to `n x dim`, each in (0, 1)."""
        return torch.sigmoid(self.diffusion(z))


def _field(dim: int, hidden_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(dim, hidden_dim),
        nn.Tanh(),
        nn.Linear(hidden_dim, hidden_dim),
        nn.Tanh(),
        nn.Linear(hidden_dim, dim),
    )


class _PerStep:
    """The SDE in time s = t/h: drift h f, and diffusion g against increments of variance h.

    f and g have the same shape, so their weights are stacked and each layer is one batched
    product for both: fewer, larger operations.
    """

    noise_type = "diagonal"
    sde_type = "ito"

    def __init__(self, drift: nn.Sequential, diffusion: nn.Sequential, h: float) -> None:
        *hidden, (f, g) = zip(_linears(drift), _linears(diffusion), strict=True)
        self._hidden = [_stacked(layer_f, layer_g) for layer_f, layer_g in hidden]
        self._out = _stacked(f, g, scale_of_f=h)
        self._last: tuple[Tensor, tuple[Tensor, Tensor]] | None = None

    def f_and_g(self, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        # torchsde evaluates the first point twice, once to check shapes; remember it.
        if self._last is None or self._last[0] is not z:
            self._last = (z, self._evaluate(z))
        return self._last[1]

    def _evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        a = z.expand(2, -1, -1)
        for weight, bias in self._hidden:
            a = torch.tanh(torch.baddbmm(bias, a, weight))
        weight, bias = self._out
        hf, g = torch.baddbmm(bias, a, weight)
        return hf, torch.sigmoid(g)


def _linears(field: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in field if isinstance(layer, nn.Linear)]


def _stacked(f: nn.Linear, g: nn.Linear, *, scale_of_f: float = 1.0) -> tuple[Tensor, Tensor]:
    weight = torch.stack((f.weight * scale_of_f, g.weight)).transpose(1, 2)
    return weight, torch.stack((f.bias * scale_of_f, g.bias)).unsqueeze(1)


class _Increments(torchsde.BaseBrownian):
    """Brownian increments over one solver step each: independent draws of N(0, std^2).

    torchsde's own BrownianInterval takes its entropy from numpy's global state, so that
    `torch.manual_seed` does not repeat a path, and it costs more than the solve itself. Valid
    for a fixed-step solver without Levy areas, which asks for each interval once.
    """

    levy_area_approximation = "none"

    def __init__(self, like: Tensor, std: float, generator: torch.Generator | None) -> None:
        super().__init__()
        self._like = like.detach()
        self._std = std
        self._generator = generator

    def __call__(
        self,
        ta: Tensor,
        tb: Tensor | None = None,
        return_U: bool = False,
        return_A: bool = False,
    ) -> Tensor:
        return torch.empty_like(self._like).normal_(std=self._std, generator=self._generator)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={tuple(self.shape)})"

    @property
    def dtype(self) -> torch.dtype:
        return self._like.dtype

    @property
    def device(self) -> torch.device:
        return self._like.device

    @property
    def shape(self) -> torch.Size:
        return self._like.shape
