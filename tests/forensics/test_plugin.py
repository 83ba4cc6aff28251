"""The page after a run of Avalanche, whatever the strategy and the model."""

import math
import random

import numpy as np
import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.core import SupervisedPlugin
from avalanche.models import MTSimpleMLP
from avalanche.training import EWC, Naive, Replay
from torch import nn
from torch.utils.data import Dataset

from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds
from avalanche_hsf.forensics import ForensicsPlugin, give_verdict
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import CommitPlugin, HSFStrategy

BENCHMARK = SplitDigits(5, seed=0)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def trained(plugin, kind=Naive, model=None, stream=BENCHMARK.train_stream[:3], **options):
    model = model or network()
    further = options.pop("plugins", [])
    strategy = kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), 1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=2,
        plugins=[plugin, *further],
        evaluator=None,
        **options,
    )
    strategy.train(stream)
    return strategy


def test_the_page_is_written_after_the_last_experience(tmp_path, capsys):
    path = tmp_path / "new" / "forgetting.html"
    plugin = ForensicsPlugin(path)
    strategy = trained(plugin, stream=BENCHMARK.train_stream[:4])
    assert path.exists()  # the slice's last experience is the stream's
    page = path.read_text()
    verdicts = [give_verdict(task) for task in plugin.findings().tasks]
    assert [task.task for task in plugin.findings().tasks] == ["task 0", "task 1", "task 2"]
    for verdict in verdicts:
        assert verdict.sentence.split(";")[0].replace("+", "&#43;") in page.replace("+", "&#43;")
    assert "Task 0 fell from" in page and "<h2>Task 0</h2>" in page
    found = plugin.findings()
    assert list(found.tasks[0].changes) == ["0", "1", "2", "3"]  # by path, with names to show
    assert all(f'<th scope="row">{name}</th>' in page for name in ("0 (Flatten)", "3 (Linear)"))
    assert str(path) in capsys.readouterr().out
    path.unlink()
    strategy.train(BENCHMARK.train_stream[4])
    assert path.exists()


def test_one_at_a_time_and_written_when_asked(tmp_path):
    plugin = ForensicsPlugin(tmp_path / "page.html")
    strategy = trained(plugin, stream=BENCHMARK.train_stream[0])
    strategy.train(BENCHMARK.train_stream[1])
    assert not (tmp_path / "page.html").exists()
    assert plugin.write() == tmp_path / "page.html"
    found = plugin.findings()
    assert len(found.tasks) == 1 and len(found.losses) == 2
    # What was seen on the way agrees with what is found afterwards.
    assert found.drift and found.old_losses["task 0"][-1][1] > found.losses[0][0]
    n = len(BENCHMARK.train_stream[0].dataset)
    assert found.begins == [0, 2 * math.ceil(n / 32)]


@pytest.mark.parametrize("kind", [Replay, EWC])
def test_other_strategies(kind):
    plugin = ForensicsPlugin(None)
    options = {"mem_size": 50} if kind is Replay else {"ewc_lambda": 1.0}
    trained(plugin, kind, **options)
    found = plugin.findings()
    assert all(math.isfinite(task.attribution.forgetting) for task in found.tasks)
    for task in found.tasks:
        total = sum(task.attribution.shapley.values())
        assert total == pytest.approx(task.attribution.forgetting, rel=1e-6, abs=1e-9)


def test_a_model_that_forgets_nothing_is_given_no_culprit():
    model = TaskConditional(network(), hypernetwork="isolated", seed=0)
    plugin = ForensicsPlugin(None)
    trained(plugin, model=model, plugins=[CommitPlugin()])
    verdicts = [give_verdict(task) for task in plugin.findings().tasks]
    assert [(verdict.kind, verdict.culprits) for verdict in verdicts] == [("none", ())] * 2
    assert all("same to the last bit" in verdict.sentence for verdict in verdicts)


@pytest.mark.slow
def test_reconstruction(tmp_path):
    components = ["hypernetwork", "encoder_sde", "decoder_sde"]
    plugin = ForensicsPlugin(tmp_path / "page.html", components=components)
    strategy = HSFStrategy.from_preset(
        "paper",
        input_dim=3,
        seed=0,
        train_epochs=3,
        plugins=[plugin],
        evaluator=None,
        model_options={"hidden_dim": 8, "latent_dim": 4},
    )
    strategy.train(SyntheticManifolds(n_samples=30).train_stream[:2])
    found = plugin.findings()
    assert len(found.tasks) == 1 and not found.accuracies
    assert "Accuracy" not in (tmp_path / "page.html").read_text()


def test_watching_changes_no_result():
    results = []
    for plugins in ([], [ForensicsPlugin(None)]):
        torch.manual_seed(3)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 10)
        )
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), 0.1),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=32,
            train_epochs=2,
            plugins=plugins,
            evaluator=None,
        )
        strategy.train(BENCHMARK.train_stream[:3])
        results.append(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*map(dict.values, results), strict=True))


def test_without_a_test_stream_it_says_what_it_measured_on():
    plugin = ForensicsPlugin(None, stream=BENCHMARK.test_stream[:1])
    trained(plugin)
    notes = " ".join(plugin.findings().notes)
    assert "Task 1 is measured on samples it was trained on" in notes
    assert "task 0 is measured" not in notes


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="none was: give the plugin to the strategy"):
        ForensicsPlugin(None).findings()
    plugin = ForensicsPlugin(None)
    trained(plugin)
    with pytest.raises(ValueError, match="give a path"):
        plugin.write()
    with pytest.raises(ValueError, match="unknown name 'nowhere'"):
        trained(ForensicsPlugin(None, components=["nowhere"]))
    with pytest.raises(TypeError, match="components must be a list"):
        ForensicsPlugin(None, components="1")


class Heads(MTSimpleMLP):
    def __init__(self):
        super().__init__(input_size=64, hidden_size=32)

    def forward(self, x, task_labels):
        return super().forward(x.flatten(1), task_labels)


def test_zeros_that_avalanche_adds_are_no_forgetting():
    """A head that is frozen since its task is not blamed for the classes of later ones."""
    torch.manual_seed(0)
    plugin = ForensicsPlugin(None)
    model = Heads()
    trained(plugin, model=model, stream=BENCHMARK.train_stream[:1])
    model.features.requires_grad_(False)
    trained(plugin, model=model, stream=BENCHMARK.train_stream[1:4])
    findings = plugin.findings()
    first = findings.tasks[0]
    assert first.attribution.forgetting == pytest.approx(0, abs=1e-7)
    assert give_verdict(first).kind == "none"
    assert any("zeros that Avalanche adds" in note for note in findings.notes)


def test_a_page_that_cannot_be_written_is_refused_before_training(tmp_path):
    with pytest.raises(OSError, match="cannot write"):
        trained(ForensicsPlugin(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write"):
        trained(ForensicsPlugin(tmp_path / "file" / "page.html"))


class Breaks(SupervisedPlugin):
    """Makes the weights NaN in the third experience."""

    def after_training_epoch(self, strategy, **kwargs):
        if strategy.clock.train_exp_counter == 2:
            for p in strategy.model.parameters():
                p.data.fill_(float("nan"))


def test_a_run_that_becomes_nan_has_a_page_that_says_since_when(tmp_path):
    path = tmp_path / "page.html"
    trained(ForensicsPlugin(path), plugins=[Breaks()])
    page = path.read_text()
    assert "No task could be examined" in page
    assert "NaN from after task 2 on" in page and "How much was forgotten" in page


class Draws(Dataset):
    """Samples that are augmented with the generators of torch, numpy and Python."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.targets = [int(y) for y in dataset.targets]

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        x, y, *_ = self.dataset[i]
        return x + 0.1 * torch.randn(()) + 0.1 * np.random.rand() + 0.1 * random.random(), y


def test_a_run_is_the_same_to_the_last_bit():
    augmented = benchmark_from_datasets(
        train=[as_classification_dataset(Draws(e.dataset)) for e in BENCHMARK.train_stream[:2]],
        test=[as_classification_dataset(Draws(e.dataset)) for e in BENCHMARK.test_stream[:2]],
    )

    def train(plugins):
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(0)
        model = nn.Sequential(*network(), nn.Dropout(0.1))
        for _ in range(2):  # the second call comes after the page of the first
            strategy = Naive(
                model=model,
                optimizer=torch.optim.SGD(model.parameters(), 0.1),
                criterion=nn.CrossEntropyLoss(),
                train_mb_size=32,
                plugins=plugins,
                evaluator=None,
            )
            strategy.train(augmented.train_stream)
            [plugin.findings() for plugin in plugins]
        return [p.detach().clone() for p in model.parameters()] + [torch.rand(1)]

    without = train([])
    for kind in (ForensicsPlugin,):
        watched = train([kind(None, stream=augmented.test_stream)])
        assert all(map(torch.equal, without, watched))
