"""The search by halving: what it runs, what it chooses, and what it does when runs are lost."""

import math

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.cli import main
from avalanche_hsf.experiments import ResultsFile, compare
from avalanche_hsf.experiments.commands.comparison import Comparison
from avalanche_hsf.experiments.commands.tuning import tune
from avalanche_hsf.experiments.learners import Learner
from avalanche_hsf.experiments.runs.engines import in_process
from avalanche_hsf.training import InMemoryLoadingPlugin

EPOCHS, SHORT = 10, 1
RATES = (1e-3, 1e-2, 0.1, 0.2)


def stream():
    """Two tasks that gradient descent learns the better the higher the rate."""
    x = torch.linspace(-1, 1, 24).reshape(8, 3)
    return reconstruction_benchmark([x, x.roll(1, dims=1)])


class Poison(SupervisedPlugin):
    """Makes a weight NaN."""

    def before_training_epoch(self, strategy, **kwargs):
        next(strategy.model.parameters()).data.fill_(math.nan)


def learner(rates=RATES, fails=None, diverges=None):
    """Gradient descent whose rate is searched; lost where a function of rate and epochs says so."""

    def build(setting, *, lr, plugins, **arguments):
        if fails is not None and fails(lr, setting.epochs):
            raise RuntimeError("as it was told to")
        poison = [Poison()] if diverges is not None and diverges(lr, setting.epochs) else []
        model = nn.Linear(setting.input_dim, setting.input_dim)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        plugins = [*poison, *plugins, InMemoryLoadingPlugin()]
        return Naive(
            model=model, optimizer=optimizer, plugins=plugins, **setting.arguments, **arguments
        )

    return Learner(build, grid=tuple({"lr": lr} for lr in rates), optimizers=())


def tuned(learners, *, epochs=EPOCHS, search="halving", out=None):
    """The chosen rates, the failures, and what each call of the engine ran."""
    calls = []

    def engine(tasks):
        calls.append([(task.job.name, task.job.epochs, task.job.configuration) for task in tasks])
        return in_process(tasks)

    comparison = Comparison.of(stream, learners, seeds=[1], epochs=epochs, search=search)
    best, failures = tune(comparison, ResultsFile(out), engine)
    return {name: chosen["lr"] for name, chosen in best.items()}, failures, calls


@pytest.fixture(scope="module")
def by_grid():
    """What the whole grid chooses and runs."""
    return tuned({"mine": learner()}, search="grid")


def rates_of(calls, epochs):
    return [chosen["lr"] for call in calls for _, n, chosen in call if n == epochs]


def test_it_chooses_as_the_grid_does_in_fewer_epochs(by_grid):
    chosen_by_grid, _, all_of_them = by_grid
    chosen, failures, calls = tuned({"mine": learner()})
    assert chosen == chosen_by_grid and not failures
    assert sorted(rates_of(calls, SHORT)) == sorted(rates_of(all_of_them, EPOCHS)) == list(RATES)
    assert len(rates_of(calls, EPOCHS)) < len(RATES)
    assert {n for call in all_of_them for _, n, _ in call} == {EPOCHS}


def test_learners_share_a_round():
    _, _, calls = tuned({"one": learner(), "other": learner(), "few": learner(RATES[-3:])})
    short, whole = calls
    assert [(name, n) for name, n, _ in short] == [("one", SHORT)] * 4 + [("other", SHORT)] * 4
    # Three candidates are too few.
    assert [name for name, _, _ in whole].count("few") == 3
    assert {n for _, n, _ in whole} == {EPOCHS}


def test_runs_of_a_few_epochs_are_not_shortened():
    _, _, calls = tuned({"mine": learner()}, epochs=9)
    assert sorted(rates_of(calls, 9)) == list(RATES) and len(calls) == 1


@pytest.mark.parametrize("lost", ["fails", "diverges"])
def test_a_candidate_that_is_lost_early_drops_out(lost):
    # The best rate, lost in the short run alone: nobody sees what it could have been.
    early = {lost: lambda lr, epochs: lr == RATES[-1] and epochs == SHORT}
    chosen, failures, calls = tuned({"mine": learner(**early)})
    assert RATES[-1] not in rates_of(calls, EPOCHS) and chosen["mine"] != RATES[-1]
    assert len(failures) == (lost == "fails")


def test_short_runs_that_are_all_lost_decide_nothing(by_grid):
    chosen, _, calls = tuned({"mine": learner(fails=lambda lr, epochs: epochs == SHORT)})
    assert sorted(rates_of(calls, EPOCHS)) == list(RATES)
    assert chosen == by_grid[0]


def test_what_was_given_up_is_run_when_all_the_others_are_lost_late():
    def late(lr, epochs):
        return lr > RATES[0] and epochs == EPOCHS

    chosen, failures, _ = tuned({"mine": learner(diverges=late)})
    assert chosen == {"mine": RATES[0]} and not failures


def test_a_learner_of_which_nothing_finishes_is_named():
    never = learner(diverges=lambda lr, epochs: True)
    chosen, failures, _ = tuned({"lost": never, "sound": learner(RATES[:2])})
    assert list(chosen) == ["sound"]
    (line,) = failures
    assert line.startswith("lost: every configuration diverged in tuning, left out")


def test_a_second_time_nothing_is_run(tmp_path):
    first = tuned({"mine": learner()}, out=tmp_path)
    text = (tmp_path / "results.json").read_text()
    chosen, _, calls = tuned({"mine": learner()}, out=tmp_path)
    assert chosen == first[0] and calls == []
    # The grid takes what is there, and adds what was given up.
    _, _, calls = tuned({"mine": learner()}, search="grid", out=tmp_path)
    assert 0 < len(rates_of(calls, EPOCHS)) < len(RATES)
    assert len((tmp_path / "results.json").read_text()) > len(text)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "by successive halving: of four or more candidates the better half after a tenth"),
        (["--search", "grid"], "by running every candidate for all epochs"),
    ],
)
@pytest.mark.usefixtures("small_runs")
def test_the_report_says_how_it_was_searched(words, sentence, tmp_path, capsys):
    command = ["compare", "--benchmark", "synthetic", "--strategies", "mlp-paper", "--epochs", "10"]
    assert main([*command, "--seeds", "1", *words, "--out", str(tmp_path)]) == 0
    for text in (capsys.readouterr().out, (tmp_path / "comparison.html").read_text()):
        assert f"chosen on the tuning seed, {sentence}" in " ".join(text.split())
    search = words[-1] if words else "halving"
    assert f'search = "{search}"' in (tmp_path / "compare.toml").read_text()


def test_a_search_that_there_is_not():
    with pytest.raises(ValueError, match="unknown search 'gird'; choose from halving, grid"):
        compare("synthetic", ["mlp-paper"], seeds=[1], epochs=1, search="gird")
