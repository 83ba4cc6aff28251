"""NeuralSDE."""

import math

import numpy as np
import pytest
import torch

from avalanche_hsf.models import NeuralSDE


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def euler_maruyama(sde, z, generator):
    h = sde.horizon / sde.n_steps
    for _ in range(sde.n_steps):
        noise = torch.randn(z.shape, generator=generator) * math.sqrt(h)
        z = z + sde.drift(z) * h + torch.sigmoid(sde.diffusion(z)) * noise
    return z


@pytest.mark.parametrize("n_steps", [1, 3, 10, 49, 128])
@pytest.mark.parametrize("horizon", [0.3, 0.5, 1.0])
def test_equals_a_bare_euler_maruyama_loop(n_steps, horizon):
    # In particular there is no extra, tiny step: it would draw once more and shift the noise.
    sde = NeuralSDE(8, n_steps=n_steps, horizon=horizon)
    z0 = torch.randn(20, 8)
    ours, bare = seeded(), seeded()
    assert torch.allclose(sde(z0, generator=ours), euler_maruyama(sde, z0, bare), atol=1e-5)
    assert torch.equal(ours.get_state(), bare.get_state())


def test_gradients_equal_those_of_the_loop():
    sde = NeuralSDE(8)
    z0 = torch.randn(20, 8)
    gradients = []
    for solve in (lambda: sde(z0, generator=seeded()), lambda: euler_maruyama(sde, z0, seeded())):
        sde.zero_grad()
        solve().square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in sde.parameters()])
    for ours, bare in zip(*gradients, strict=True):
        assert ours.abs().sum() > 0
        assert torch.allclose(ours, bare, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("horizon", "n_steps"), [(1.0, 10), (0.5, 4)])
def test_law_of_a_brownian_motion_with_constant_drift(horizon, n_steps):
    # f = 0.7 and g = sigmoid(-1) constant: z_T ~ N(z0 + 0.7 T, g^2 T).
    sde = NeuralSDE(1, horizon=horizon, n_steps=n_steps)
    with torch.no_grad():
        for parameter in sde.parameters():
            parameter.zero_()
        sde.drift[-1].bias.fill_(0.7)
        sde.diffusion[-1].bias.fill_(-1.0)
    z_T = sde(torch.zeros(40_000, 1), generator=seeded())
    g = 1 / (1 + math.e)
    assert abs(float(z_T.mean()) - 0.7 * horizon) < 0.01
    assert abs(float(z_T.var()) / (g**2 * horizon) - 1) < 0.05


def test_a_seed_repeats_a_path_whatever_numpy_does():
    sde = NeuralSDE(8)
    z0 = torch.randn(20, 8)
    np.random.seed(1)
    first = sde(z0, generator=seeded(5))
    np.random.seed(2)
    assert torch.equal(sde(z0, generator=seeded(5)), first)
    assert not torch.equal(sde(z0, generator=seeded(6)), first)


def test_diffusion_at():
    sde = NeuralSDE(8)
    g = sde.diffusion_at(torch.randn(20, 8))
    assert g.shape == (20, 8)
    assert (g > 0).all() and (g < 1).all()


@pytest.mark.parametrize(
    "arguments", [{"horizon": 0.0}, {"horizon": -1.0}, {"horizon": math.nan}, {"n_steps": 0}]
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError):
        NeuralSDE(8, **arguments)
