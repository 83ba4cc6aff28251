"""The terms of the loss and the schedule of beta."""

import math

import pytest
import torch

from avalanche_hsf.models import ManifoldNormalizingFlow
from avalanche_hsf.training import (
    BetaSchedule,
    get_preset,
    negative_log_likelihood,
    separation,
)


def test_nll_is_minus_the_mean_log_density_of_the_flow():
    flow = ManifoldNormalizingFlow(6)
    z0 = torch.randn(11, 6)
    assert torch.allclose(negative_log_likelihood(*flow(z0)), -flow.log_prob(z0).mean(), atol=1e-5)


def test_separation_is_the_sum_over_pairs_and_pushes_both():
    current = torch.randn(2, 4, requires_grad=True)
    others = torch.randn(3, 4, requires_grad=True)
    sep = separation(current, others)
    value = float(sep.detach())
    pairs = [math.exp(-float((e - k).norm().detach())) for e in current for k in others]
    assert math.isclose(value, sum(pairs), rel_tol=1e-5)
    sep.backward()
    assert current.grad.abs().sum() > 0
    assert others.grad.abs().sum() > 0


def test_separation_of_equal_embeddings_has_a_finite_gradient():
    e = torch.zeros(1, 4, requires_grad=True)
    separation(e, torch.zeros(1, 4)).backward()
    assert torch.isfinite(e.grad).all()


def test_beta_follows_the_papers_schedule():
    beta = BetaSchedule()
    for epoch in (0, 1, 150, 299, 300, 1000):
        assert math.isclose(beta(epoch), min(1.0, 0.01 + 0.99 * epoch / 300))
    early = get_preset("paper-early").beta
    for epoch in (0, 75, 150, 299):
        assert math.isclose(early(epoch), 0.1 * min(1.0, 0.01 + 0.99 * epoch / 150))


@pytest.mark.parametrize("bad", [{"scale": -1.0}, {"start": 1.5}, {"start": -0.1}, {"epochs": 0}])
def test_bad_schedules(bad):
    with pytest.raises(ValueError):
        BetaSchedule(**bad)
