"""gradient_conflict and sharpness against what is known of small models."""

import copy

import pytest
import torch
from curvlinops import HessianLinearOperator
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.func import functional_call, hessian

from avalanche_hsf.analysis import gradient_conflict, loss_on, sharpness
from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds, regression_benchmark
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.training import get_preset

MSE = nn.MSELoss()
x = torch.linspace(-1, 1, 30).view(-1, 1)


def test_opposite_targets_conflict_and_equal_ones_agree():
    stream = regression_benchmark([(x, x), (x, -x), (x, x)]).train_stream
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    model[0].weight.data.zero_()
    first, opposite, same = (loss_on(experience, MSE) for experience in stream)
    assert gradient_conflict(model, first, opposite) == {"0": pytest.approx(-1)}
    assert gradient_conflict(model, first, same) == {"0": pytest.approx(1)}


def test_a_component_without_a_gradient():
    stream = SplitDigits(5, seed=0).train_stream
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 10))
    model[1].requires_grad_(False)
    cosines = gradient_conflict(model, loss_on(stream[0]), loss_on(stream[1]))
    assert cosines["1"] != cosines["1"]  # NaN
    assert -1 <= cosines["3"] <= 1


def test_sharpness_is_the_largest_eigenvalue_of_the_full_hessian():
    experience = regression_benchmark([(x, torch.sin(3 * x))]).train_stream[0]
    model = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    double = copy.deepcopy(model)
    inputs = x.double()

    def loss(model):
        return (model(inputs) - torch.sin(3 * inputs)).square().mean()

    names = [name for name, _ in double.named_parameters()]
    sizes = [p.numel() for p in double.parameters()]

    def flat_loss(theta):
        parts = theta.split(sizes)
        own = {
            n: part.view(p.shape)
            for n, part, p in zip(names, parts, double.parameters(), strict=True)
        }
        return (functional_call(double, own, (inputs,)) - torch.sin(3 * inputs)).square().mean()

    theta = torch.cat([p.detach().flatten() for p in double.parameters()])
    eigenvalues = torch.linalg.eigvalsh(hessian(flat_loss)(theta))
    assert sharpness(model, loss, tolerance=1e-8) == pytest.approx(float(eigenvalues[-1]), rel=1e-6)
    # In single precision, from an experience.
    single = sharpness(model.float(), loss_on(experience, MSE))
    assert single == pytest.approx(float(eigenvalues[-1]), rel=1e-3)
    # Of two parameters alone, where Lanczos has nothing to do.
    assert 0 < sharpness(model, loss_on(experience, MSE), parameters=["2.bias"]) <= single * 1.001
    assert sharpness(model, loss_on(experience, MSE), parameters=["2.bias"]) == pytest.approx(2)


def test_noise_is_the_same_at_every_call_and_the_model_as_it_was():
    model = HypernetSDEFlow(3, **get_preset("paper").hsf, seed=0).train()
    model.hypernetwork.add_task(0)
    experience = SyntheticManifolds(40).train_stream[0]
    loss, averaged = loss_on(experience, MSE), loss_on(experience, MSE, n_passes=4)
    state = model.noise.get_extra_state().clone()
    assert float(loss(model)) == float(loss(model)) != float(averaged(model))
    assert torch.equal(model.noise.get_extra_state(), state)
    assert model.training and model.encoder.training
    top = sharpness(model, loss, parameters=["decoder."], tolerance=1e-2)
    assert top > 0 and top == sharpness(model, loss, parameters=["decoder."], tolerance=1e-2)


def test_parameters_that_do_not_exist():
    with pytest.raises(ValueError, match=r"no trained parameter's name begins with.*weight"):
        sharpness(nn.Linear(1, 1), lambda m: m(x).mean(), parameters=["layer."])


def test_sharpness_is_that_of_curvlinops():
    dataset = SplitDigits(5, seed=0).train_stream[0].dataset
    inputs = torch.stack([dataset[i][0] for i in range(100)]).double()
    y = torch.tensor([dataset[i][1] for i in range(100)])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)).double()

    def loss(model):
        return nn.functional.cross_entropy(model(inputs), y)

    parameters = list(model.parameters())
    hessian = HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, [(inputs, y)])
    (theirs,) = eigsh(hessian.to_scipy(), k=1, which="LA", return_eigenvectors=False)
    assert sharpness(model, loss) == pytest.approx(float(theirs), rel=1e-3)


def test_sharpness_of_attention():
    """Its fast kernels have no second derivative."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    x = torch.randn(20, 4, 8)
    assert sharpness(layer, lambda model: model(x).square().mean()) > 0


def test_the_sharpness_of_a_loss_without_curvature_is_zero():
    model = nn.Linear(4, 3)
    data = torch.randn(20, 4), torch.randn(20, 3)
    assert sharpness(model, loss_on(data, nn.L1Loss())) == 0.0
