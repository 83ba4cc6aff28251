"""LatentMixture and TaskDensity."""

import math

import pytest
import torch

from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.models import HypernetSDEFlow, LatentMixture, TaskDensity, TaskGroups


def circle(n, dim=6, *, radius=1.0):
    """Points of a circle in a plane that lies askew."""
    angle = torch.linspace(0, 2 * math.pi, n + 1)[:n]
    plane = torch.linalg.qr(torch.randn(dim, 2, generator=torch.Generator().manual_seed(0))).Q
    return radius * torch.stack((angle.cos(), angle.sin()), dim=1) @ plane.T, plane


def distance_to_circle(z, plane):
    flat = z @ plane
    return ((flat.norm(dim=1) - 1).square() + (z - flat @ plane.T).square().sum(dim=1)).sqrt()


def test_samples_of_a_curve_lie_on_it():
    z, plane = circle(300)
    mixture = LatentMixture.fit(z, n_vectors=120)
    assert mixture.vectors.shape == (60, 2, 6)  # of one axis
    drawn = mixture.sample(2000, generator=torch.Generator().manual_seed(0)).float()
    assert distance_to_circle(drawn, plane).mean() < 2e-3
    angle = torch.atan2(*(drawn @ plane).T)
    counts = torch.histc(angle, 8, -math.pi, math.pi)
    assert counts.min() > 0.7 * 250 and counts.max() < 1.3 * 250  # all around
    off, _ = circle(300, radius=1.1)
    assert mixture.log_prob(z).median() > mixture.log_prob(off).max() + 20


@pytest.mark.parametrize(("dimension", "lowest", "highest"), [(1, 1, 1), (2, 2, 2), (8, 6, 9)])
def test_the_axes_are_as_many_as_the_dimension_of_the_latents(dimension, lowest, highest):
    generator = torch.Generator().manual_seed(0)
    z = torch.rand(2000, dimension, generator=generator)
    z = torch.tanh(z @ torch.randn(dimension, 24, generator=generator))
    axes = LatentMixture.fit(z, n_vectors=120).vectors.shape[1] - 1
    assert lowest <= axes <= highest


def test_log_p_is_that_of_a_mixture_of_normal_distributions():
    z = torch.randn(400, 4, generator=torch.Generator().manual_seed(1)) * torch.tensor(
        [3.0, 2.0, 0.5, 0.1]
    )
    mixture = LatentMixture.fit(z, n_vectors=12)
    means, axes, variances, weights = mixture._parts()
    eye = torch.eye(4, dtype=torch.float64)
    covariances = axes.transpose(1, 2) @ axes
    covariances = covariances + (variances + mixture.scales[2].double()).view(-1, 1, 1) * eye
    each = torch.distributions.MultivariateNormal(means, covariances)
    expected = (each.log_prob(z.double().unsqueeze(1)) + weights.log()).logsumexp(dim=1)
    assert torch.allclose(mixture.log_prob(z.double()), expected, atol=1e-6)
    assert mixture.log_prob(z).dtype == torch.float32


def test_the_density_integrates_to_one():
    z, _ = circle(200, 2)
    mixture = LatentMixture.fit(z, n_vectors=40)
    axis = torch.linspace(-1.5, 1.5, 751, dtype=torch.float64)
    log_p = mixture.log_prob(torch.cartesian_prod(axis, axis))
    assert abs(float(log_p.exp().sum()) * 0.004**2 - 1) < 1e-3


def test_the_same_latents_give_the_same_mixture_and_no_generator_moves():
    z = torch.randn(100, 5)
    before = torch.get_rng_state()
    first, second = (LatentMixture.fit(z, n_vectors=30).state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("n", [1, 2, 3, 30])
@pytest.mark.parametrize("spread", [0.0, 1.0, 1e4])
def test_few_latents_or_equal_ones_have_a_density_too(n, spread):
    z = 3 + spread * torch.randn(n, 5, generator=torch.Generator().manual_seed(0))
    mixture = LatentMixture.fit(z, n_vectors=30)
    assert torch.isfinite(mixture.log_prob(z)).all()
    assert torch.isfinite(mixture.sample(20)).all()
    if spread == 0:
        assert torch.allclose(mixture.sample(20).float(), z[:1].expand(20, 5), atol=1e-3)


def test_its_size_is_that_of_16_bits_for_each_number():
    mixture = LatentMixture.fit(torch.randn(5000, 24), n_vectors=120)
    assert 4900 < sum(buffer.nbytes for buffer in mixture.buffers()) < 6300


@pytest.fixture
def density():
    density = TaskDensity(4)
    for task in (4, 2):
        density.fit_task(task, 10.0 * task + torch.randn(60 * task, 4))
    density.by_flow.add(7)
    return density


def by_flow(rows):
    return lambda: torch.full(rows, -1.0)


def test_a_mixed_batch_equals_its_tasks_one_by_one(density):
    labels = torch.tensor([4, 2, 7, 2, 4, 7, 7])  # 7 has a flow alone
    z0 = 10.0 * labels.unsqueeze(1) + torch.randn(7, 4)
    groups = TaskGroups.from_labels(labels, 7)
    log_p = density.log_prob(z0, groups, by_flow((7,)))
    drawn = density.sample(z0, groups, by_flow((7, 4)), torch.Generator().manual_seed(0))
    for task in (2, 4):
        rows = labels == task
        alone = density.log_prob(z0[rows], TaskGroups([task]), by_flow((int(rows.sum()),)))
        assert torch.allclose(log_p[rows], alone)
        assert (drawn[rows] - 10 * task).abs().max() < 6
    assert (log_p[labels == 7] == -1).all() and (drawn[labels == 7] == -1).all()


def test_it_is_saved_and_loaded(density, tmp_path):
    torch.save(density.state_dict(), tmp_path / "density.pt")
    other = TaskDensity(4)
    other.fit_task(1, torch.randn(50, 4))
    other.load_state_dict(torch.load(tmp_path / "density.pt"))
    assert other.labels == [4, 2] and other.by_flow == {7}
    z0 = torch.randn(5, 4)
    for task in (4, 2):
        one, two = (d.of_task[task].log_prob(z0) for d in (density, other))
        assert torch.equal(one, two)


def test_a_model_is_loaded_with_its_densities():
    model, other = HypernetSDEFlow(3, seed=0), HypernetSDEFlow(3, seed=1)
    model.hypernetwork.begin([0])
    model.density.fit_task(0, torch.randn(60, 24))
    other.load_state_dict(model.state_dict())
    z0 = torch.randn(5, 24)
    one, two = (m.density.of_task[0].log_prob(z0) for m in (model, other))
    assert torch.equal(one, two)
    narrow = TaskDensity(12)
    with pytest.raises(RuntimeError, match="size mismatch for of_task"):
        narrow.load_state_dict(model.density.state_dict())


def test_half_precision_leaves_it_as_it_is(density):
    z0 = 40 + torch.randn(5, 4)
    before = density.of_task[4].log_prob(z0)
    assert torch.equal(density.half().of_task[4].log_prob(z0), before)


def test_what_was_never_fitted_is_refused():
    model = HypernetSDEFlow(3)
    model.hypernetwork.begin([0])
    x = torch.randn(5, 3)
    for call in (lambda: model.log_prob(x, 0), lambda: model.sample(5, 0)):
        with pytest.raises(ValueError, match="the density of task 0 was never fitted: train"):
            call()
    with torch.no_grad():
        model.flow_of(model.encode(x, 0), 0)  # trains nothing
    with pytest.raises(ValueError, match="never fitted"):
        model.log_prob(x, 0)
    model.flow_of(model.encode(x, 0), 0)
    assert model.log_prob(x, 0).shape == (5,)
    with pytest.raises(DivergedError, match="latents of task 0 are NaN"):
        model.density.fit_task(0, torch.full((9, 24), math.nan))


@pytest.mark.parametrize("offset", [1e2, 1e4])
def test_latents_far_from_zero_have_the_same_density(offset):
    generator = torch.Generator().manual_seed(0)
    z = (
        torch.randn(500, 3, generator=generator).double()
        @ torch.randn(3, 8, generator=generator).double()
    )
    near, far = (LatentMixture.fit(each, n_vectors=40) for each in (z, z + offset))
    assert torch.allclose(far.log_prob(z + offset), near.log_prob(z), atol=0.05)
    drawn = far.sample(200, generator=torch.Generator().manual_seed(1)) - offset
    assert torch.allclose(
        drawn, near.sample(200, generator=torch.Generator().manual_seed(1)), atol=0.01
    )
    again = LatentMixture(8)
    again.load_state_dict(far.state_dict())
    assert torch.equal(again.log_prob(z + offset), far.log_prob(z + offset))
    assert near.scales.shape == (3,)
