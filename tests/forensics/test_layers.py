"""Where weights are written per task: which layer of the task's network forgot."""

import copy

import pytest
import torch
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.analysis import errors_on
from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.forensics import ForensicsPlugin, RunFindings, examine, forensics_report
from avalanche_hsf.models import HypernetSDEFlow, TaskConditional, export_task
from avalanche_hsf.training import CommitPlugin

X = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(dim=1)


def samples(*tasks):
    """Minibatches (x, y, t)."""
    return [(X, Y, torch.full((60,), task)) for task in tasks]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4))


def trained(**options):
    """A model that has learned task 4 after task 2."""
    model = TaskConditional(network(), seed=0, **{"hypernetwork": "paper", **options})
    for task in (2, 4):
        model.train().hypernetwork.begin([task])
        model.statistics.add_task(task)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X, task), Y).backward()
            optimizer.step()
    if model.mask is not None:
        model.mask.add_classes(4, [0, 1, 2])
    return model.eval()


def generator_of(name):
    @torch.no_grad()
    def plant(model):
        which = list(model.hypernetwork.shapes).index(name)
        model.hypernetwork.generators[which][-1].bias += torch.randn(
            model.hypernetwork.generators[which][-1].bias.shape,
            generator=torch.Generator().manual_seed(1),
        )

    return plant


@torch.no_grad()
def statistics_of_task_4(model):
    kept = model.statistics(4)
    kept["1.running_mean"] += 3


PLANTED = {
    "the first layer": (generator_of("0.weight"), {}, "0 (Linear)"),
    "the head": (generator_of("3.weight"), {}, "3 (Linear)"),
    "scores that are masked": (generator_of("3.weight"), {"masking": True}, "network.3 (Linear)"),
    "a shared layer": (
        lambda model: nn.init.zeros_(model.module[0].weight),
        {"written": ["1.", "3."]},
        "0 (Linear)",
    ),
    "statistics of the task": (statistics_of_task_4, {}, "normalization statistics"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_layer_has_the_whole_share(name):
    plant, options, culprit = PLANTED[name]
    early = trained(**options)
    late = copy.deepcopy(early)
    plant(late)
    found = examine(early, late, samples(4))
    assert found.layers is not None, found.unknown
    assert found.layers.forgetting == found.attribution.forgetting > 0.1
    assert found.layers.shares[culprit] == pytest.approx(1)
    others = [share for layer, share in found.layers.shares.items() if layer != culprit]
    assert len(others) >= 3 and not any(others)
    page = forensics_report(RunFindings([found])).html()
    assert page.index("Shapley share in the forgetting") < page.index("Shapley share of each layer")


def test_another_task_of_the_same_model_is_not_blamed():
    early = trained()
    late = copy.deepcopy(early)
    statistics_of_task_4(late)
    assert examine(early, late, samples(2)).layers.forgetting == 0


@pytest.mark.parametrize(("hypernetwork", "forgets"), [("chunked", True), ("isolated", False)])
def test_a_run(hypernetwork, forgets):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    model = TaskConditional(module, hypernetwork=hypernetwork, seed=0)
    plugin = ForensicsPlugin(None)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), 1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        plugins=[plugin, CommitPlugin()],
        evaluator=None,
    )
    benchmark = SplitDigits(5, seed=0)
    strategy.train(benchmark.train_stream[:3])
    found = plugin.findings()
    for i, task in enumerate(found.tasks):
        assert list(task.layers.shapley) == ["1 (Linear)", "3 (Linear)"]
        assert task.layers.forgetting == pytest.approx(task.attribution.forgetting, abs=1e-12)
        assert (task.layers.forgetting != 0) == forgets
        total = sum(task.layers.shapley.values())
        assert total == pytest.approx(task.layers.forgetting, abs=1e-9)
        # By hand: the networks before and after on the task's samples.
        error = errors_on(benchmark.test_stream[i])
        nets = [export_task(plugin.recorder.models[k], i) for k in (i, -1)]
        before, after = (float(error(net).mean()) for net in nets)
        assert task.layers.forgetting == pytest.approx(after - before, abs=1e-12)
    assert "Shapley share of each layer" in forensics_report(found).html()


def test_the_papers_system():
    torch.manual_seed(0)
    small = {"hidden_dim": 4, "latent_dim": 2, "encoder_steps": 1, "decoder_steps": 1}
    early = HypernetSDEFlow(6, hypernetwork="paper", generated="paper", seed=0, **small)
    early.hypernetwork.add_task(4)
    late = copy.deepcopy(early)
    generator_of("encoder.hidden_2.weight")(late)
    found = examine(early, late, [(X, X, torch.full((60,), 4))], criterion=nn.MSELoss())
    assert found.layers.forgetting == found.attribution.forgetting != 0
    assert found.layers.shares["encoder"] == pytest.approx(1)


class Fixed(nn.Module):
    """Answers as one task, whatever it is told."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x, 4)


class Twice(TaskConditional):
    """Does more than run the network."""

    def _forward(self, x, task_labels, **options):
        return 2 * super()._forward(x, task_labels, **options)


def test_what_cannot_be_attributed_is_said():
    early = trained()
    late = copy.deepcopy(early)
    generator_of("3.bias")(late)
    doubled = [copy.deepcopy(model) for model in (early, late)]
    for model in doubled:
        model.__class__ = Twice
    for models, data, reason in (
        ((early, late), samples(2, 4), r"samples are of the tasks [2, 4]: give"),
        ((early, late), samples(7), "task 7 has no weights yet, only [2, 4] have"),
        ((Fixed(early), Fixed(late)), (X, Y), "which task the samples belong to is not known"),
        ((Fixed(early), Fixed(late)), samples(4), "give the one inside of the Fixed"),
        (doubled, samples(4), "the model does more than run it"),
    ):
        found = examine(*models, data)
        assert found.layers is None
        (line,) = [line for line in found.unknown if line.startswith("layers of the task's")]
        assert reason in line


def test_a_plain_model_has_no_second_table():
    found = examine(network(), network(), samples(4))
    assert found.layers is None and not any("task's network" in line for line in found.unknown)
    assert "Shapley share of each layer" not in forensics_report(RunFindings([found])).html()
