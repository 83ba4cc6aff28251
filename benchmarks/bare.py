"""The same computations without the libraries: what Avalanche, torchsde and nflows are timed by.

Each is on the weights of one of our modules and gives its numbers; `speed.py` asserts so before it
times anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from avalanche_hsf.models import HypernetSDEFlow, ManifoldNormalizingFlow, NeuralSDE
from avalanche_hsf.models.flow import AffineCoupling
from avalanche_hsf.training import BetaSchedule, negative_log_likelihood
from avalanche_hsf.training.optimizers import make_optimizer
from avalanche_hsf.training.presets import get_preset


def euler_maruyama(sde: NeuralSDE, z: Tensor, noise: Tensor, *, together: bool = False) -> Tensor:
    """The solve of a `NeuralSDE` in a loop.

    Args:
        sde: Its drift and diffusion.
        z: The state at time 0, `n x dim`.
        noise: The xi of each path, `n x n_steps x dim`.
        together: Compute drift and diffusion as one batched network, as `NeuralSDE` does.
    """
    h = sde.horizon / sde.n_steps
    if not together:
        for xi in noise.unbind(1):
            z = z + sde.drift(z) * h + torch.sigmoid(sde.diffusion(z)) * (math.sqrt(h) * xi)
        return z
    layers = [
        (torch.stack((f.weight, g.weight)).transpose(1, 2), torch.stack((f.bias, g.bias))[:, None])
        for f, g in zip(_linears(sde.drift), _linears(sde.diffusion), strict=True)
    ]
    for xi in noise.unbind(1):
        a = z.expand(2, -1, -1)
        for weight, bias in layers[:-1]:
            a = torch.tanh(torch.baddbmm(bias, a, weight))
        f, g = torch.baddbmm(layers[-1][1], a, layers[-1][0])
        z = z + f * h + torch.sigmoid(g) * (math.sqrt(h) * xi)
    return z


def coupling_flow(flow: ManifoldNormalizingFlow, z: Tensor) -> tuple[Tensor, Tensor]:
    """u and log |det| of a `ManifoldNormalizingFlow` in a loop over its couplings."""
    log_det = z.new_zeros(len(z))
    half = flow.dim // 2
    couplings = [module for module in flow.modules() if isinstance(module, AffineCoupling)]
    for k, coupling in enumerate(couplings):
        first, last = z[:, :half], z[:, half:]
        kept, moved = (last, first) if k % 2 else (first, last)
        t = coupling.net(kept)
        s = coupling.scale * t
        moved = (moved + t) * torch.exp(s)
        z = torch.cat((moved, kept) if k % 2 else (kept, moved), dim=1)
        log_det = log_det + s.sum(dim=1)
    return z, log_det


def training_step(model: HypernetSDEFlow, x: Tensor) -> Callable[[int], float]:
    """One step of the preset "paper" in its first task without Avalanche: epoch to loss."""
    optimizer = make_optimizer(model.parameters(), get_preset("paper").optimizer)
    beta, labels = BetaSchedule(), torch.zeros(len(x), dtype=torch.long)

    def step(epoch: int) -> float:
        optimizer.zero_grad()
        out = model.forward_with_latents(x, labels)
        u, log_det = model.flow_of(out.z0, labels)
        loss = mse_loss(out.reconstruction, x) + beta(epoch) * negative_log_likelihood(u, log_det)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def _linears(field: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in field if isinstance(layer, nn.Linear)]
