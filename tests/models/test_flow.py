"""ManifoldNormalizingFlow."""

import copy

import pytest
import torch
from torch.func import functional_call

from avalanche_hsf.models import ManifoldNormalizingFlow


@pytest.mark.parametrize("dim", [2, 5, 24])
@pytest.mark.parametrize("n_layers", [1, 4])
def test_flow(dim, n_layers, tmp_path):
    flow = ManifoldNormalizingFlow(dim, n_layers=n_layers).double()
    z0 = torch.randn(64, dim, dtype=torch.float64)

    # log p(z0) and a gradient in every parameter
    log_p = flow.log_prob(z0)
    assert log_p.shape == (64,)
    log_p.mean().backward()
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name

    # training equals evaluation
    assert torch.equal(flow.eval().log_prob(z0), log_p)

    # inverse round trip, both ways
    u, log_det = flow(z0)
    assert torch.allclose(flow.inverse(u), z0, atol=1e-10)
    assert torch.allclose(flow(flow.inverse(z0))[0], z0, atol=1e-10)

    # log-determinant against autograd
    jacobian = torch.autograd.functional.jacobian(lambda z: flow(z.unsqueeze(0))[0][0], z0[0])
    assert torch.allclose(torch.linalg.slogdet(jacobian).logabsdet, log_det[0], atol=1e-10)

    # change of variables
    base = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(dim=1)
    assert torch.allclose(log_p, base + log_det)

    # save and load
    torch.save(flow.state_dict(), tmp_path / "flow.pt")
    other = ManifoldNormalizingFlow(dim, n_layers=n_layers).double()
    other.load_state_dict(torch.load(tmp_path / "flow.pt"))
    assert torch.equal(other.log_prob(z0), log_p)


def test_the_flow_transforms_every_dimension():
    flow = ManifoldNormalizingFlow(5, n_layers=2)
    z0 = torch.randn(1, 5)
    u, _ = flow(z0)
    assert (u != z0).all()


def test_round_trip_survives_grown_weights_in_single_precision():
    # The stock scale of nflows is off by 1e8 here.
    flow = ManifoldNormalizingFlow(24)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(4)
    z0 = torch.randn(300, 24)
    assert torch.allclose(flow.inverse(flow(z0)[0]), z0, atol=1e-3)


def test_samples_follow_the_density():
    # Under the flow, u = F(z0) of samples is standard normal again.
    flow = ManifoldNormalizingFlow(4)
    z0 = flow.sample(20_000, generator=torch.Generator().manual_seed(0))
    u, _ = flow(z0)
    assert u.mean(dim=0).abs().max() < 0.03
    assert (u.std(dim=0) - 1).abs().max() < 0.03


def test_sampling_is_seeded():
    flow = copy.deepcopy(ManifoldNormalizingFlow(4))
    first, second = (flow.sample(3, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)


def test_one_dimension_cannot_be_coupled():
    with pytest.raises(ValueError, match="at least 2"):
        ManifoldNormalizingFlow(1)


def test_the_inverse_with_weights_from_outside():
    flow = ManifoldNormalizingFlow(4)
    u = torch.randn(7, 4)
    z0, log_det = flow(u, inverse=True)
    assert torch.equal(z0, flow.inverse(u))
    assert torch.allclose(log_det, -flow(z0)[1], atol=1e-5)
    weights = {name: torch.randn_like(p) for name, p in flow.named_parameters()}
    z0, _ = functional_call(flow, weights, (u,), {"inverse": True})
    assert torch.allclose(functional_call(flow, weights, (z0,))[0], u, atol=1e-3)
