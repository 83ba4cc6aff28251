"""Two checkpoints and a loader are enough, and Avalanche is not needed."""

import subprocess
import sys

import pytest
import torch
from avalanche.training import Naive
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.forensics import ForensicsPlugin, blame

BENCHMARK = SplitDigits(5, seed=0)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)
    )


def tensors(experience):
    x = torch.stack([sample[0] for sample in experience.dataset])
    return x, torch.tensor([sample[1] for sample in experience.dataset])


@pytest.fixture(scope="module")
def states():
    """A network after each of two tasks, by Avalanche; and what the plugin found."""
    model, plugin = network(), ForensicsPlugin(report=None)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), 1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=3,
        plugins=[plugin],
        evaluator=None,
    )
    kept = []
    for experience in BENCHMARK.train_stream[:2]:
        strategy.train(experience)
        kept.append({name: p.clone() for name, p in model.state_dict().items()})
    return kept, plugin.findings().tasks[0]


def test_the_same_shares_as_through_the_plugin(states, tmp_path):
    (early, late), found = states
    torch.save(early, tmp_path / "early.pt")
    torch.save({"model_state_dict": {f"module.{k}": v for k, v in late.items()}}, tmp_path / "late")
    data = DataLoader(TensorDataset(*tensors(BENCHMARK.test_stream[0])), batch_size=7)
    by_file = blame(tmp_path / "early.pt", tmp_path / "late", data, model=network)
    assert by_file.attribution.shapley == pytest.approx(found.attribution.shapley, rel=1e-6)
    assert by_file.accuracy == pytest.approx(found.accuracy)
    assert by_file.probe == pytest.approx(found.probe)


def test_avalanche_is_not_imported(states, tmp_path):
    (early, late), _ = states
    x, y = tensors(BENCHMARK.test_stream[0])
    for name, content in (("early.pt", early), ("late.pt", late), ("data.pt", {"x": x, "y": y})):
        torch.save(content, tmp_path / name)
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), "
        "nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10))\n"
        "def old():\n    data = torch.load('data.pt')\n    return data['x'], data['y']\n"
    )
    code = (
        "import sys; from avalanche_hsf.cli import main; "
        "code = main('blame early.pt late.pt --model mine:make --data mine:old --out o'.split()); "
        "import avalanche_hsf.analysis; "
        "assert 'avalanche' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "fell from" in done.stdout
    assert "fell from" in (tmp_path / "o" / "forgetting.html").read_text()


def test_an_iterator_is_read_once(states):
    (early, late), found = states
    x, y = tensors(BENCHMARK.test_stream[0])
    minibatches = zip(x.split(20), y.split(20), strict=True)
    by_iterator = blame(early, late, minibatches, model=network)
    assert by_iterator.attribution.shapley == pytest.approx(found.attribution.shapley, rel=1e-6)


def make_other():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))


@pytest.mark.parametrize(
    ("late", "model", "message"),
    [
        ("missing.pt", network, "missing.pt"),
        ({"1.weight": torch.zeros(2)}, network, r"lacks 1.bias, 3.weight"),
        ({}, network, "holds no state dict"),
        ("as it is", make_other, r"has beside it 5.weight.*of another shape 1.weight \(16, 64\)"),
        ("as it is", None, "give model="),
        ("as it is", lambda: 3, "must make a torch module"),
    ],
)
def test_bad_checkpoints(states, late, model, message):
    (early, as_it_is), _ = states
    late = as_it_is if late == "as it is" else late
    with pytest.raises((OSError, TypeError, ValueError), match=message):
        blame(early, late, tensors(BENCHMARK.test_stream[0]), model=model)


@pytest.mark.parametrize("data", [[], None, (torch.zeros(0, 64), torch.zeros(0).long()), 3])
def test_bad_data(states, data):
    (early, late), _ = states
    with pytest.raises((TypeError, ValueError), match=r"samples|data must be"):
        blame(early, late, data, model=network)


def test_a_metric_that_is_nan(states):
    (early, late), _ = states
    broken = {name: p * float("nan") for name, p in late.items()}
    with pytest.raises(ValueError, match="is NaN"):
        blame(early, broken, tensors(BENCHMARK.test_stream[0]), model=network)
