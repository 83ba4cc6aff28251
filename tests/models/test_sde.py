"""NeuralSDE."""

import math

import numpy as np
import pytest
import torch
from torch.func import vmap

from avalanche_hsf.models import NeuralSDE


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def euler_maruyama(sde, z, generator):
    h = sde.horizon / sde.n_steps
    for _ in range(sde.n_steps):
        noise = torch.randn(z.shape, generator=generator) * math.sqrt(h)
        g = sde.diffusion_floor + sde.diffusion_scale * torch.sigmoid(sde.diffusion(z))
        z = z + sde.drift(z) * h + g * noise
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


@pytest.mark.parametrize("fast_tanh", [False, True])
def test_equals_the_loop_with_another_diffusion(fast_tanh):
    sde = NeuralSDE(
        8, diffusion_scale=0.3, diffusion_floor=0.2, diffusion_bias=-1.0, fast_tanh=fast_tanh
    )
    z0 = torch.randn(20, 8)
    expected = euler_maruyama(sde, z0, seeded())
    assert torch.allclose(sde(z0, generator=seeded()), expected, atol=1e-5)


@pytest.mark.parametrize("fast_tanh", [False, True])
def test_gradients_equal_those_of_the_loop(fast_tanh):
    sde = NeuralSDE(8, fast_tanh=fast_tanh)
    z0 = torch.randn(20, 8)
    gradients = []
    for solve in (lambda: sde(z0, generator=seeded()), lambda: euler_maruyama(sde, z0, seeded())):
        sde.zero_grad()
        solve().square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in sde.parameters()])
    for ours, bare in zip(*gradients, strict=True):
        assert ours.abs().sum() > 0
        assert torch.allclose(ours, bare, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 4), (5, 3, 1), (5, 4, 4), (5, 2, 4), (3, 5, 4), (5, 4)])
def test_noise_of_another_shape_is_not_broadcast(shape):
    sde = NeuralSDE(4, n_steps=3)
    with pytest.raises(ValueError, match=r"noise must have shape \(5, 3, 4\)"):
        sde(torch.zeros(5, 4), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4,), (5, 3), (1, 5, 4)])
def test_a_state_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"z0 must have shape \(n, 4\)"):
        NeuralSDE(4)(torch.zeros(shape))


def test_fast_tanh_is_yes_or_no():
    with pytest.raises(TypeError, match="fast_tanh must be True or False, got 'no'"):
        NeuralSDE(4, fast_tanh="no")


@pytest.mark.parametrize(
    ("horizon", "n_steps", "scale", "floor"),
    [(1.0, 10, 1.0, 0.0), (0.5, 4, 1.0, 0.0), (0.5, 4, 0.5, 0.3)],
)
def test_law_of_a_brownian_motion_with_constant_drift(horizon, n_steps, scale, floor):
    # f = 0.7 and g = floor + scale * sigmoid(-1) constant: z_T ~ N(z0 + 0.7 T, g^2 T).
    sde = NeuralSDE(
        1, horizon=horizon, n_steps=n_steps, diffusion_scale=scale, diffusion_floor=floor
    )
    with torch.no_grad():
        for parameter in sde.parameters():
            parameter.zero_()
        sde.drift[-1].bias.fill_(0.7)
        sde.diffusion[-1].bias.fill_(-1.0)
    z_T = sde(torch.zeros(40_000, 1), generator=seeded()).detach()
    g = floor + scale / (1 + math.e)
    assert abs(float(z_T.mean()) - 0.7 * horizon) < 0.015
    assert abs(float(z_T.var()) / (g**2 * horizon) - 1) < 0.05


def test_a_floor_holds_whatever_is_learned_and_is_saved():
    sde = NeuralSDE(4, drift_gain=0.0)
    sde.diffusion_floor = 0.2  # as DiffusionFloorPlugin does
    with torch.no_grad():
        sde.diffusion[-1].bias.fill_(-100.0)
    assert torch.allclose(sde.bounded(sde.diffusion(torch.randn(5, 4))), torch.tensor(0.2))
    z_T = sde(torch.zeros(10_000, 4), generator=seeded()).detach()
    assert (z_T.var(dim=0) / 0.2**2 - 1).abs().max() < 0.05
    other = NeuralSDE(4)
    other.load_state_dict(sde.state_dict())
    assert torch.equal(other(z_T[:5], generator=seeded()), sde(z_T[:5], generator=seeded()))


def test_the_first_weights_of_a_gentle_sde():
    torch.manual_seed(0)
    plain = NeuralSDE(4)
    torch.manual_seed(0)
    gentle = NeuralSDE(4, diffusion_bias=-5.0, drift_gain=0.1)
    assert torch.equal(gentle.drift[-1].weight, 0.1 * plain.drift[-1].weight)
    assert torch.equal(gentle.diffusion[-1].bias, torch.full((4,), -5.0))
    assert torch.equal(gentle.diffusion[-1].weight, plain.diffusion[-1].weight)


def test_given_noise_gives_the_same_path():
    sde = NeuralSDE(8, n_steps=3)
    z0, noise = torch.randn(20, 8), sde.draw_noise(20, seeded(4))
    assert noise.shape == (20, 3, 8)
    z_T = sde(z0, noise)
    assert torch.equal(sde(z0, noise), z_T)
    assert torch.equal(sde(z0, generator=seeded(4)), z_T)
    # Each row has a path of its own.
    assert torch.allclose(sde(z0[5:7], noise[5:7]), z_T[5:7], atol=1e-6)
    one_by_one = vmap(lambda z, xi: sde(z.unsqueeze(0), xi.unsqueeze(0))[0])(z0, noise)
    assert torch.allclose(one_by_one, z_T, atol=1e-6)


def test_a_seed_repeats_a_path_whatever_numpy_does():
    sde = NeuralSDE(8)
    z0 = torch.randn(20, 8)
    np.random.seed(1)
    first = sde(z0, generator=seeded(5))
    np.random.seed(2)
    assert torch.equal(sde(z0, generator=seeded(5)), first)
    assert not torch.equal(sde(z0, generator=seeded(6)), first)


def test_the_diffusion_is_bounded():
    sde = NeuralSDE(8)
    g = sde.bounded(sde.diffusion(torch.randn(20, 8)))
    assert g.shape == (20, 8)
    assert (g > 0).all() and (g < 1).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"horizon": 0.0},
        {"horizon": -1.0},
        {"horizon": math.nan},
        {"n_steps": 0},
        {"diffusion_scale": 0.0},
        {"diffusion_floor": -0.1},
        {"drift_gain": -1.0},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError):
        NeuralSDE(8, **arguments)
