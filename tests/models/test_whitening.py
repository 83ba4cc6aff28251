"""TaskWhitening."""

import copy

import pytest
import torch

from avalanche_hsf.models import TaskGroups, TaskWhitening


def latents(task, n=50):
    generator = torch.Generator().manual_seed(task)
    return task + (task + 0.5) * torch.randn(n, 3, generator=generator, dtype=torch.float64)


@pytest.fixture
def whitening():
    whitening = TaskWhitening(3).double()
    for task in (4, 2):
        whitening.set_task(task, latents(task))
    return whitening


def test_each_task_has_zero_mean_and_unit_spread(whitening):
    for task in (2, 4):
        whitened, _ = whitening(latents(task), TaskGroups([task]))
        assert whitened.mean(dim=0).abs().max() < 1e-12
        assert torch.allclose(whitened.std(dim=0, correction=0), torch.ones(3).double())


def test_log_det_is_that_of_the_jacobian(whitening):
    z0 = latents(4)
    whitened, log_det = whitening(z0, TaskGroups([4]))
    assert log_det.shape == (50,)
    jacobian = torch.autograd.functional.jacobian(
        lambda z: whitening(z.unsqueeze(0), TaskGroups([4]))[0][0], z0[0]
    )
    assert torch.allclose(torch.linalg.slogdet(jacobian).logabsdet, log_det[0])
    assert torch.allclose(log_det, -z0.std(dim=0, correction=0).log().sum().expand(50))
    assert torch.allclose(whitening.inverse(whitened, TaskGroups([4])), z0)


def test_a_mixed_batch_equals_its_tasks_one_by_one(whitening):
    labels = torch.tensor([4, 2, 9, 2, 4, 9, 9])  # 9 was never set
    z0 = torch.randn(7, 3, dtype=torch.float64)
    groups = TaskGroups.from_labels(labels, 7)
    whitened, log_det = whitening(z0, groups)
    assert torch.allclose(whitening.inverse(whitened, groups), z0)
    for task in (2, 4, 9):
        rows = labels == task
        alone, alone_log_det = whitening(z0[rows], TaskGroups([task]))
        assert torch.equal(whitened[rows], alone)
        assert torch.equal(log_det[rows], alone_log_det)
    assert torch.equal(whitened[labels == 9], z0[labels == 9])
    assert (log_det[labels == 9] == 0).all()


def test_setting_a_task_again_replaces_its_statistics_only(whitening):
    before = whitening(latents(4), TaskGroups([4]))[0]
    whitening.set_task(2, latents(7))
    assert whitening.labels == [4, 2]
    assert sum(b.numel() for b in whitening.buffers()) == 2 * 2 * 3  # 2 * dim numbers per task
    assert torch.equal(whitening(latents(4), TaskGroups([4]))[0], before)
    assert whitening(latents(7), TaskGroups([2]))[0].mean().abs() < 1e-12


def test_a_dimension_that_carries_nothing_is_not_blown_up():
    whitening = TaskWhitening(2)
    whitening.set_task(0, torch.zeros(5, 2))
    whitened, _ = whitening(torch.full((1, 2), 1e-3), TaskGroups([0]))
    assert torch.allclose(whitened, torch.ones(1, 2))


def test_it_is_saved_loaded_and_copied(whitening):
    other = TaskWhitening(3).double()
    other.set_task(1, latents(1))
    other.load_state_dict(whitening.state_dict())
    twin = copy.deepcopy(whitening)
    whitening.set_task(8, latents(8))
    for same in (other, twin):
        assert same.labels == [4, 2]
        for task in same.labels:
            assert torch.equal(same.of_task[task].mean, whitening.of_task[task].mean)
            assert torch.equal(same.of_task[task].std, whitening.of_task[task].std)
