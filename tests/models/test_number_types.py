"""Modules of other number types than float32, wrapped as they are."""

import io

import pytest
import torch
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.models import HYPERNETWORKS, TaskConditional
from avalanche_hsf.training import get_preset, make_protections

TYPES = [torch.float64, torch.bfloat16, torch.float16]
KINDS = [
    *((kind, {}) for kind in HYPERNETWORKS),
    ("delta", {"bits": 8}),
    ("delta", {"adapter": "core", "size": 16, "bits": 12}),
    ("delta", {"adapter": "scale"}),
]
EVERY_KIND = pytest.mark.parametrize(("kind", "options"), KINDS)


def conditional(kind, options, dtype, seed=0):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)
    return TaskConditional(module, hypernetwork=kind, hypernetwork_options=options, seed=seed)


def train(model, task, dtype):
    model.train()
    model.hypernetwork.begin([task])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.randn(6, 3).to(dtype)
    for _ in range(2):
        optimizer.zero_grad()
        (model(x, task) - x).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("dtype", TYPES)
@EVERY_KIND
def test_every_kind_computes_in_the_type_of_the_module(kind, options, dtype):
    model = conditional(kind, options, dtype)
    for task in range(3):
        train(model, task, dtype)
    assert {p.dtype for p in model.parameters()} == {dtype}
    x, labels = torch.randn(6, 3).to(dtype), torch.tensor([0, 1, 2] * 2)
    assert model(x, labels).dtype == dtype
    model.hypernetwork.commit()
    model.eval()
    mixed = model(x, labels)
    for task in range(3):
        alone = model(x, task)[labels == task]
        tolerance = 1e-6 if dtype == torch.float64 else 0.05
        torch.testing.assert_close(mixed[labels == task], alone, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", TYPES)
@EVERY_KIND
def test_it_is_saved_loaded_and_trained_on(kind, options, dtype):
    model = conditional(kind, options, dtype)
    for task in range(3):
        train(model, task, dtype)
    model.hypernetwork.commit()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = conditional(kind, options, dtype, seed=1)
    other.load_state_dict(torch.load(file, weights_only=False))
    x = torch.randn(6, 3).to(dtype)
    for task in range(3):
        assert torch.equal(other.eval()(x, task), model.eval()(x, task))
    train(other, 3, dtype)


@pytest.mark.parametrize("preset", ["isolated", "compact", "repaired"])
def test_under_a_strategy_with_the_protections_of_a_preset(preset):
    preset = get_preset(preset)
    model = TaskConditional(nn.Linear(3, 3).double(), seed=0, **preset.hypernetwork)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters()),
        criterion=nn.MSELoss(),
        plugins=make_protections(preset.protections),
        evaluator=EvaluationPlugin(loggers=[]),
    )
    samples = [torch.randn(4, 3) for _ in range(3)]
    for experience in reconstruction_benchmark(samples, dtype=torch.float64).train_stream:
        strategy.train(experience)
    assert {p.dtype for p in model.parameters()} == {torch.float64}


class Mixed(nn.Module):
    """Computes its first layer in half precision."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 8).bfloat16(), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x.bfloat16())).float())


@EVERY_KIND
def test_a_module_of_several_types(kind, options):
    if kind in ("paper", "mlp", "chunked"):
        with pytest.raises(TypeError, match="writes tensors of one type"):
            TaskConditional(Mixed(), hypernetwork=kind)
        return
    model = TaskConditional(Mixed(), hypernetwork=kind, hypernetwork_options=options)
    for task in range(3):
        train(model, task, torch.float32)
    model(torch.randn(3, 3), torch.arange(3)).mean().backward()
