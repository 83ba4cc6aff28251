"""The latent dynamics. The only file that knows torchsde."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import (
    check_bool,
    check_finite,
    check_layers,
    check_non_negative,
    check_positive,
    check_size,
)
from avalanche_hsf.extras import require

require("NeuralSDE", "torchsde", extra="hsf")
import torchsde  # noqa: E402


class NeuralSDE(nn.Module):
    r"""An Ito SDE with learned drift and diffusion: dZ = f(Z) dt + g(Z) dW, t in [0, T].

    f is a network of two hidden tanh layers, g = floor + scale * sigmoid of another, with one
    Wiener process per dimension. Solved by Euler-Maruyama in n steps of h = T/n:

    z <- z + f(z) h + g(z) sqrt(h) xi,  xi ~ N(0, I)

    Source: section 2.3, equation (1) of the paper, where g is a plain sigmoid; Li et al. 2020,
    https://arxiv.org/abs/2001.01328

    Args:
        dim: Size of the state.
        hidden_dim: Width of the hidden layers of f and g.
        horizon: T, dimensionless, above 0.
        n_steps: Solver steps n, at least 1.
        diffusion_scale: How far the learned part of g can go, above 0.
        diffusion_floor: What g cannot fall below, at least 0. Without one a learner that is
            rewarded for reconstruction lets g shrink until the SDE is an ODE.
        diffusion_bias: First value of g's output bias (g = floor + scale * sigmoid(bias) when its
            weights are small); None: torch's usual draw, which starts g near its middle.
        drift_gain: Factor on f's first output weights; small: the SDE starts as the identity.
        fast_tanh: Compute tanh(x) as 2 sigmoid(2x) - 1, which torch does in a sixth of the time on
            a CPU. The solve differs in its last digits, and what is learned from it, since
            training is chaotic, in the way that another seed's noise would make it differ.

    Example:
        >>> sde = NeuralSDE(24, horizon=0.5)
        >>> sde(torch.zeros(5, 24), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([5, 24])
    """

    def __init__(
        self,
        dim: int,
        *,
        hidden_dim: int = 64,
        horizon: float = 1.0,
        n_steps: int = 10,
        diffusion_scale: float = 1.0,
        diffusion_floor: float = 0.0,
        diffusion_bias: float | None = None,
        drift_gain: float = 1.0,
        fast_tanh: bool = False,
    ) -> None:
        super().__init__()
        self.dim = dim = check_size("dim of the SDE", dim)
        hidden_dim = check_size("hidden_dim of the SDE", hidden_dim)
        check_layers("the SDE", dim, hidden_dim, hidden_dim, dim, times=2)
        self.horizon = check_positive("horizon", horizon)
        self.n_steps = check_size("n_steps", n_steps)
        self.diffusion_scale = check_positive("diffusion_scale", diffusion_scale)
        self.diffusion_floor = check_non_negative("diffusion_floor", diffusion_floor)
        self.fast_tanh = check_bool("fast_tanh", fast_tanh)
        self.drift = _field(dim, hidden_dim)
        self.diffusion = _field(dim, hidden_dim)
        with torch.no_grad():
            _linears(self.drift)[-1].weight.mul_(check_non_negative("drift_gain", drift_gain))
            if diffusion_bias is not None:
                _linears(self.diffusion)[-1].bias.fill_(
                    check_finite("diffusion_bias", diffusion_bias)
                )

    def draw_noise(
        self, n: int, generator: torch.Generator | None = None, *, silent: bool = False
    ) -> Tensor:
        """The xi of n paths: a `n x n_steps x dim` tensor of independent N(0, 1), or silent: of 0.

        Without noise a path follows the drift alone, and nothing is drawn.
        """
        like = _linears(self.drift)[0].weight
        if silent:
            return like.new_zeros(()).expand(n, self.n_steps, self.dim)
        steps = torch.randn(
            self.n_steps, n, self.dim, generator=generator, device=like.device, dtype=like.dtype
        )
        return steps.transpose(0, 1)  # each step's draws lie together

    def forward(
        self,
        z0: Tensor,
        noise: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The state at time T, one path per row.

        Args:
            z0: A `n x dim` tensor, the state at time 0.
            noise: The xi of each path, see `draw_noise`; drawn if None.
            generator: Source of the noise, on the device of z0; torch's global one if None.

        Returns:
            A `n x dim` tensor.

        Raises:
            ValueError: z0 or noise has another shape.
        """
        if z0.dim() != 2 or z0.shape[1] != self.dim:
            raise ValueError(f"z0 must have shape (n, {self.dim}), got {tuple(z0.shape)}")
        if noise is None:
            noise = self.draw_noise(len(z0), generator)
        elif noise.shape != (len(z0), self.n_steps, self.dim):
            raise ValueError(
                f"noise must have shape {(len(z0), self.n_steps, self.dim)} (paths, steps, "
                f"dimensions), got {tuple(noise.shape)}"
            )
        # Time runs in units of one step, s = t/h, so that its floats are exact integers: with
        # dt = T/n torchsde takes an extra, tiny step in about half of all (T, n). It stays on
        # the CPU, where the solver compares it after every step.
        h = self.horizon / self.n_steps
        times = torch.tensor([0.0, float(self.n_steps)])
        increments = _Increments((noise * math.sqrt(h)).unbind(1))
        steps = _PerStep(self, h)
        return torchsde.sdeint(steps, z0, times, bm=increments, method="euler", dt=1.0)[-1]

    def bounded(self, logits: Tensor) -> Tensor:
        """g from the output of its network: floor + scale * sigmoid(logits)."""
        g = torch.sigmoid(logits)
        if self.diffusion_scale != 1:
            g = self.diffusion_scale * g
        return g if self.diffusion_floor == 0 else self.diffusion_floor + g

    def get_extra_state(self) -> float:
        """The floor, since `DiffusionFloorPlugin` sets it after the SDE was made."""
        return self.diffusion_floor

    def set_extra_state(self, state: float) -> None:
        self.diffusion_floor = state


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

    def __init__(self, sde: NeuralSDE, h: float) -> None:
        *hidden, (f, g) = zip(_linears(sde.drift), _linears(sde.diffusion), strict=True)
        layers = [_stacked(layer_f, layer_g) for layer_f, layer_g in hidden]
        layers.append(_stacked(f, g, scale_of_f=h))
        self._activation = torch.sigmoid if sde.fast_tanh else torch.tanh
        *self._hidden, self._out = _with_sigmoid(layers) if sde.fast_tanh else layers
        self._bounded = sde.bounded
        self._first: tuple[Tensor, tuple[Tensor, Tensor]] | None = None

    def f_and_g(self, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        # torchsde evaluates the first point twice, once to check shapes; remember it.
        if self._first is None:
            self._first = (z, self._evaluate(z))
        return self._first[1] if z is self._first[0] else self._evaluate(z)

    def _evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        a = z.expand(2, -1, -1)
        for weight, bias in self._hidden:
            a = self._activation(torch.baddbmm(bias, a, weight))
        weight, bias = self._out
        hf, g = torch.baddbmm(bias, a, weight)
        return hf, self._bounded(g)


def _linears(field: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in field if isinstance(layer, nn.Linear)]


def _stacked(f: nn.Linear, g: nn.Linear, *, scale_of_f: float = 1.0) -> tuple[Tensor, Tensor]:
    weight: Tensor = f.weight
    bias: Tensor = f.bias
    if scale_of_f != 1:
        weight, bias = weight * scale_of_f, bias * scale_of_f
    return torch.stack((weight, g.weight)).transpose(1, 2), torch.stack((bias, g.bias)).unsqueeze(1)


def _with_sigmoid(layers: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """A tanh network's layers, changed so that the same network has sigmoids in their place.

    With tanh(x) = 2 sigmoid(2x) - 1 a layer gives 2x, and the next one takes (s W) 2 + (b - 1 W).
    """
    changed = []
    for k, (weight, bias) in enumerate(layers):
        if k > 0:
            weight, bias = 2 * weight, bias - weight.sum(dim=1, keepdim=True)
        if k < len(layers) - 1:
            weight, bias = 2 * weight, 2 * bias
        changed.append((weight, bias))
    return changed


class _Increments(torchsde.BaseBrownian):
    """Brownian increments over one solver step each, drawn beforehand.

    torchsde's own BrownianInterval takes its entropy from numpy's global state, so that
    `torch.manual_seed` does not repeat a path, and it costs more than the solve itself. Valid
    for a fixed-step solver without Levy areas, which asks for each interval once, in order.
    """

    levy_area_approximation = "none"

    def __init__(self, steps: Sequence[Tensor]) -> None:
        super().__init__()
        self._like = steps[0]
        self._steps = iter(steps)

    def __call__(
        self,
        ta: Tensor,
        tb: Tensor | None = None,
        return_U: bool = False,
        return_A: bool = False,
    ) -> Tensor:
        return next(self._steps)

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
