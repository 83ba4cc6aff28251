"""The same on a GPU; without one these are skipped."""

import pytest
import torch
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import PRESETS, HSFStrategy, get_preset, make_protections

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def on_gpu(module):
    return all(t.device.type == "cuda" for t in [*module.parameters(), *module.buffers()])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_learns_there(preset):
    torch.manual_seed(0)
    strategy = HSFStrategy.from_preset(
        preset, input_dim=3, seed=0, train_epochs=30, evaluator=None, device="cuda"
    )
    benchmark = SyntheticManifolds()
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    assert on_gpu(strategy.model)
    x = torch.stack([item[0] for item in benchmark.test_stream[1].dataset])
    assert torch.isfinite(strategy.model(x.cuda(), 1)).all()


def test_a_network_of_ones_own():
    preset = get_preset("compact")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    model = TaskConditional(network, **preset.hypernetwork, masking=True, seed=0)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=3,
        plugins=make_protections(preset.protections),
        evaluator=None,
        device="cuda",
    )
    for experience in SplitDigits(5, seed=0).train_stream[:2]:
        strategy.train(experience)
    assert on_gpu(model)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 0, 1]])
def test_both_devices_compute_the_same(labels):
    """As far as no noise is drawn, which has another sequence there."""
    torch.manual_seed(0)
    strategy = HSFStrategy.from_preset("isolated", input_dim=3, seed=0, train_epochs=2)
    for experience in SyntheticManifolds(20).train_stream[:2]:
        strategy.train(experience)
    model = strategy.model.eval()
    x, t = torch.randn(4, 3), torch.tensor(labels)
    z0 = model.encode(x, t)
    there = model.cuda().encode(x.cuda(), t.cuda()).cpu()
    torch.testing.assert_close(there, z0, rtol=1e-3, atol=1e-4)
