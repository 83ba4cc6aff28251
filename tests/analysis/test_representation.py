"""Representations, probes and barriers: identities that hold, and planted changes that are seen."""

import copy
import math

import pytest
import torch
from cka import cka_from_features
from torch import nn

from avalanche_hsf.analysis import (
    linear_cka,
    linear_probe,
    loss_barrier,
    loss_on_line,
    outputs_of,
    representation_change,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize(("n", "p"), [(40, 5), (10, 30)])
def test_cka_does_not_see_rotation_scale_and_shift(n, p):
    X = normal(n, p)
    rotation = torch.linalg.qr(normal(p, p, seed=1)).Q
    assert linear_cka(X, 3 * X @ rotation + 2) == pytest.approx(1, abs=1e-6)
    assert abs(linear_cka(X, normal(n, p, seed=2))) < 0.3
    assert math.isnan(linear_cka(X, torch.ones(n, p)))


@pytest.mark.parametrize(("n", "p", "q"), [(50, 4, 9), (20, 64, 3)])
@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_cka_is_that_of_another_library(n, p, q, shared):
    X, Y = normal(n, p).double(), normal(n, q, seed=1).double()
    Y[:, 0] += 3 * shared * X[:, 0]
    theirs = float(cka_from_features(X, Y))  # which clips it to [0, 1]
    assert max(0, linear_cka(X, Y)) == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_the_layer_that_was_changed_and_what_comes_after_it():
    early, x = network(), normal(100, 6)
    late = copy.deepcopy(early)
    with torch.no_grad():
        late[2].weight.copy_(normal(8, 8, seed=3))
    change = representation_change(early, late, lambda model: model(x))
    assert list(change) == ["0", "1", "2", "3", "4"]
    assert change["0"] == pytest.approx(0, abs=1e-6) and change["1"] == pytest.approx(0, abs=1e-6)
    assert min(change["2"], change["3"], change["4"]) > 0.05


def test_a_model_is_left_as_it_was_and_unknown_layers_are_named():
    model, x = network().train(), normal(5, 6)
    outputs_of(model, lambda m: m(x))
    assert model.training and not model[0]._forward_hooks
    with pytest.raises(ValueError, match=r"no layer 9; choose from"):
        outputs_of(model, lambda m: m(x), ["9"])


def test_a_probe_sees_features_that_were_rotated_and_not_what_is_gone():
    y = torch.arange(90) % 3
    features = normal(90, 10) * 0.5 + 4 * nn.functional.one_hot(y, 10)
    rotated = features @ torch.linalg.qr(normal(10, 10, seed=1)).Q
    assert linear_probe(features, y) > 0.95 and linear_probe(rotated, y) > 0.95
    assert linear_probe(normal(90, 10), y) < 0.6
    with pytest.raises(ValueError, match="of one class"):
        linear_probe(features, torch.zeros(90, dtype=torch.long))


def test_hidden_units_that_swap_places_lie_behind_a_barrier():
    early, x = network(), normal(200, 6)
    target = early(x).detach()
    late = copy.deepcopy(early)
    order = torch.arange(8).flip(0)
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(late[0], name).copy_(getattr(early[0], name)[order])
        late[2].weight.copy_(early[2].weight[:, order])

    def error(model):
        with torch.no_grad():
            return float(nn.functional.mse_loss(model(x), target))

    points = loss_on_line(early, late, error)
    assert points[0][1] == 0 and points[-1][1] == pytest.approx(0, abs=1e-12)
    assert loss_barrier(points) == pytest.approx(max(e for _, e in points)) and points[5][1] > 0.001
    assert loss_barrier(loss_on_line(early, early, error)) == 0
    with pytest.raises(ValueError, match=r"of different models: 0\.bias, 0\.weight"):
        loss_on_line(early, nn.Sequential(nn.Linear(6, 9)), error)
