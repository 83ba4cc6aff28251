"""SOAP over stacks against the library's, one parameter after the other."""

import copy

import pytest
import pytorch_optimizer
import torch
from torch import nn

from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.training.soap import SOAP

SHAPES = [(6, 6), (6, 6), (4, 6), (6, 4), (4,), (6,), (), (1,), (1, 6), (3, 2, 3, 3), (3, 2, 3, 3)]
OPTIONS = {"lr": 3e-2, "betas": (0.9, 0.95), "precondition_frequency": 2}


def parameters(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype))
        for shape in SHAPES
    ]


def train(optimizer, of, steps, start=0, without=()):
    """Noisy gradients of a quadratic, the same at every call."""
    for step in range(start, start + steps):
        for i, p in enumerate(of):
            generator = torch.Generator().manual_seed(100 * step + i)
            noise = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
            p.grad = None if i in without else p.detach() * 0.5 + noise
        optimizer.step()


def assert_equal(ours, theirs, *, rtol=1e-9, atol=1e-11):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.0},
        {"correct_bias": False},
        {"shampoo_beta": 0.8, "eps": 1e-3},
        {"max_precondition_dim": 5},
        {"max_precondition_dim": 2},
        {"precondition_frequency": 1},
        {"precondition_1d": True},
        {"normalize_gradient": True},
    ],
    ids=str,
)
def test_the_update_is_the_librarys(options):
    ours, theirs = parameters(), parameters()
    if options.get("precondition_1d") or options.get("normalize_gradient"):
        ours, theirs = (
            [p for p in of if p.dim() > 0] for of in (ours, theirs)
        )  # the library's own step does not take numbers
    train(SOAP(ours, **OPTIONS | options), ours, 12)
    train(pytorch_optimizer.SOAP(theirs, **OPTIONS | options), theirs, 12)
    assert_equal(ours, theirs)


def test_groups_that_grow_and_parameters_without_gradients():
    results = []
    for kind in (SOAP, pytorch_optimizer.SOAP):
        of = parameters()
        optimizer = kind([{"params": of[:4]}, {"params": of[4:6], "lr": 1e-2}], **OPTIONS)
        train(optimizer, of[:6], 4, without=(1, 5))
        train(optimizer, of[:6], 4, start=4)
        optimizer.add_param_group({"params": of[6:]})
        optimizer.param_groups[0]["lr"] = 1e-3
        train(optimizer, of, 5, start=8, without=(0,))
        results.append(of)
    assert_equal(*results)


def test_steps_without_gradients_and_a_count_that_begins_anew():
    results = []
    for kind in (SOAP, pytorch_optimizer.SOAP):
        of = parameters()
        optimizer = kind(of, **OPTIONS)
        optimizer.step()
        train(optimizer, of, 4)
        for group in optimizer.param_groups:
            group.pop("step")
        train(optimizer, of, 4, start=4)
        results.append(of)
    assert_equal(*results, atol=1e-8)  # eps is all there is in directions without a gradient


def test_its_state_is_the_librarys():
    ours, theirs = parameters(), parameters()
    mine, library = SOAP(ours, **OPTIONS), pytorch_optimizer.SOAP(theirs, **OPTIONS)
    train(mine, ours, 5)
    library.load_state_dict(copy.deepcopy(mine.state_dict()))
    for p, q in zip(theirs, ours, strict=True):
        p.data.copy_(q.data)
    train(mine, ours, 5, start=5)
    train(library, theirs, 5, start=5)
    assert_equal(ours, theirs)


def test_a_copy_and_a_state_that_is_loaded_go_on_the_same():
    of = parameters()
    optimizer = SOAP(of, **OPTIONS)
    train(optimizer, of, 5)
    twin, twins_optimizer = copy.deepcopy((of, optimizer))
    fresh = copy.deepcopy(of)
    loaded = SOAP(fresh, **OPTIONS)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, its in ((optimizer, of), (twins_optimizer, twin), (loaded, fresh)):
        train(each, its, 4, start=5)
    assert all(map(torch.equal, of, twin)) and all(map(torch.equal, of, fresh))


def test_an_older_state_that_is_put_back_counts():
    of = parameters()
    optimizer = SOAP(of, **OPTIONS)
    train(optimizer, of, 3)
    kept, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(of)
    train(optimizer, of, 4, start=3)
    after = copy.deepcopy(of)
    optimizer.load_state_dict(kept)
    for p, before in zip(of, weights, strict=True):
        p.data.copy_(before.data)
    train(optimizer, of, 4, start=3)
    assert all(map(torch.equal, of, after))


def test_half_precision():
    ours, theirs = parameters(torch.bfloat16)[:6], parameters(torch.bfloat16)[:6]
    optimizer = SOAP(ours, **OPTIONS)
    try:
        train(pytorch_optimizer.SOAP(theirs, **OPTIONS), theirs, 4)
    except RuntimeError:  # torch has no eigenvectors of bf16: neither has ours
        with pytest.raises((RuntimeError, DivergedError)):
            train(optimizer, ours, 4)
    else:
        train(optimizer, ours, 4)
        assert_equal(ours, theirs, rtol=0.1, atol=0.1)


def test_gradients_that_are_nan_are_a_divergence():
    of = parameters()
    optimizer = SOAP(of, **OPTIONS)
    of[0].grad = torch.full_like(of[0], float("nan"))
    with pytest.raises(DivergedError, match="training diverged: SOAP"):
        optimizer.step()


def test_parameters_that_were_exchanged_are_no_longer_trained():
    ours, theirs = parameters(), parameters()
    optimizers = SOAP(ours, **OPTIONS), pytorch_optimizer.SOAP(theirs, **OPTIONS)
    for optimizer, of in zip(optimizers, (ours, theirs), strict=True):
        train(optimizer, of, 4)
        of[0] = optimizer.param_groups[0]["params"][0] = nn.Parameter(of[0].detach().clone())
        train(optimizer, of, 4, start=4)
    assert_equal(ours, theirs)


def test_the_librarys_own_steps_in_between():
    ours, theirs = parameters(), parameters()
    optimizers = SOAP(ours, **OPTIONS), pytorch_optimizer.SOAP(theirs, **OPTIONS)
    for optimizer, of in zip(optimizers, (ours, theirs), strict=True):
        for start, maximize in ((0, False), (6, True), (12, False)):
            optimizer.maximize = maximize
            train(optimizer, of, 6, start=start)
    assert_equal(ours, theirs)


def test_a_state_after_parameters_grew_and_parameters_without_numbers():
    layer = nn.Linear(4, 3)
    empty = nn.Parameter(torch.zeros(0, 3))
    optimizer = SOAP([*layer.parameters(), empty], **OPTIONS)
    train(optimizer, [*layer.parameters(), empty], 3)
    old = layer.weight
    layer.weight = nn.Parameter(torch.randn(5, 4))
    optimizer.param_groups[0]["params"][0] = layer.weight
    optimizer.state[layer.weight] = {}
    del optimizer.state[old]
    train(optimizer, [*layer.parameters(), empty], 3)
    assert len(optimizer.state_dict()["param_groups"][0]["params"]) == 3
