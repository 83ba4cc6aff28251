"""Anyone's stream, network and learner in compare: by address, by object, in other processes."""

import subprocess
import sys
import warnings
from collections import OrderedDict
from functools import wraps
from pathlib import Path

import pytest
import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.training import EWC, Naive
from cluster import running
from torch import nn

from avalanche_hsf.benchmarks import reconstruction_benchmark, regression_benchmark
from avalanche_hsf.cli import main
from avalanche_hsf.experiments import LEARNERS, Learner, ResultsFile, compare
from avalanche_hsf.experiments.commands.compare_report import compare_report
from avalanche_hsf.experiments.commands.comparison import Comparison
from avalanche_hsf.experiments.learners import find_methods, methods
from avalanche_hsf.experiments.runs.doors import find_problem

MODULE = """
import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.training import EWC
from torch import nn


def make(seed):
    generator = torch.Generator().manual_seed(seed)
    tasks = []
    for task in range(2):
        x = torch.randn(40, 1, 6, 6, generator=generator)
        tasks.append((x, (x[:, 0, task, task] > 0).long()))
    return tensors_benchmark(train_tensors=tasks, test_tensors=tasks, task_labels=[0, 1])


def net():
    parts = {"conv": nn.Conv2d(1, 2, 3), "flat": nn.Flatten(), "classifier": nn.Linear(32, 2)}
    network = nn.Sequential()
    for name, part in parts.items():
        network.add_module(name, part)
    return network


def build(setting, *, lr, **arguments):
    model = setting.make_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return EWC(model=model, optimizer=optimizer, ewc_lambda=1.0, **setting.arguments, **arguments)


def fails(setting, **arguments):
    raise RuntimeError("it fails")


def fails_when_tuned(setting, *, lr, **arguments):
    raise RuntimeError("it fails")


def unmeasured(setting, **arguments):
    del arguments["evaluator"]
    return build(setting, lr=0.1, evaluator=None, **arguments)


number = 3
"""
WORDS = ["compare", "--benchmark", "theirs:make", "--network", "theirs:net", "--epochs", "1"]
WORDS += ["--seeds", "1,2"]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A user's module in the working folder."""
    (tmp_path / "theirs.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "theirs.py"
    sys.modules.pop("theirs", None)


@pytest.mark.slow
def test_by_address_tuned_cached_resumed_and_in_other_processes(module, capsys):
    names = "hn-compact,theirs:build"
    assert main([*WORDS, "--strategies", names, "--out", "out", "--jobs", "2"]) == 0
    runs = ResultsFile("out").runs
    tuned = [run for run in runs if run.learner == "theirs:build" and run.seed == 100]
    assert {run.configuration["lr"] for run in tuned} == {5e-4, 2e-3, 8e-3}
    assert {run.network for run in runs} == {"theirs:net"}
    table = (Path("out") / "comparison.md").read_text()
    assert "theirs:build" in table and "theirs:net" in table
    # From the file that was written the command is repeated, and finds everything there.
    before = (Path("out") / "results.json").read_text()
    assert main(["compare", "--config", "out/compare.toml"]) == 0
    assert (Path("out") / "results.json").read_text() == before
    # In this process the numbers are the same.
    assert main([*WORDS, "--strategies", names, "--out", "here"]) == 0
    errors = {run.key: run.error_matrix for run in runs}
    assert {run.key: run.error_matrix for run in ResultsFile("here").runs} == errors


@pytest.mark.slow
def test_on_a_cluster_elsewhere(module, tmp_path):
    with running({"a": tmp_path}) as (address, _, _):
        words = [*WORDS, "--strategies", "theirs:build", "--out", "out"]
        assert main([*words, "--scheduler", address]) == 0
    assert len(ResultsFile("out").runs) == 3 + 2


@pytest.mark.slow
def test_an_edited_method_is_trained_anew(module):
    words = [*WORDS, "--strategies", "theirs:build", "--out", "out"]
    assert main(words) == 0
    n_runs = len(ResultsFile("out").runs)
    module.write_text(MODULE.replace("ewc_lambda=1.0", "ewc_lambda=1e4"))
    command = [sys.executable, "-m", "avalanche_hsf.cli", *words]
    subprocess.run(command, check=True, capture_output=True)
    assert len(ResultsFile("out").runs) == 2 * n_runs


def build(setting, *, lr, **arguments):
    model = setting.make_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return EWC(model=model, optimizer=optimizer, ewc_lambda=1.0, **setting.arguments, **arguments)


def two_tasks(kind):
    x = torch.linspace(-1, 1, 40).view(40, 1)
    if kind == "reconstruction":
        return reconstruction_benchmark([torch.cat((x, x**2), 1), torch.cat((x, -x), 1)])
    if kind == "regression":
        return regression_benchmark([(x, x**2), (x, -x)])
    tasks = [(x, (x[:, 0] > 0).long()), (x, (x[:, 0] < 0).long())]
    return tensors_benchmark(train_tensors=tasks, test_tensors=tasks, task_labels=[0, 1])


@pytest.mark.parametrize("kind", ["reconstruction", "regression", "classification"])
def test_built_in_learners_on_a_users_stream(kind):
    learners = ["hn-isolated", "net-replay", "net-joint"]
    learners += ["hsf-compact", "mlp-replay"] if kind == "reconstruction" else []
    runs = compare(two_tasks(kind), learners, seeds=[1], epochs=1)
    assert {run.learner for run in runs} == set(learners) and not runs.failures
    measure = "error rate" if kind == "classification" else "MSE"
    assert find_problem(two_tasks(kind)).measure == measure


SEEDED = {
    "seed": (lambda seed: seed, 7),
    "another name": (lambda s: s, 7),
    "after other arguments": (lambda n=5, *, seed=0: seed, 7),
    "none": (lambda: 0, 0),
    "a default of another kind": (lambda n=0: n, 0),
}


@pytest.mark.parametrize("kind", SEEDED)
def test_the_seed_goes_where_it_is_asked_for(kind):
    asked, expected = SEEDED[kind]
    shift = []

    @wraps(asked)
    def stream(*args, **named):
        shift.append(asked(*args, **named))
        return two_tasks("regression")

    find_problem(stream).make(7)
    assert shift[-1] == expected


def test_a_users_network_on_a_built_in_stream():
    def net():
        layers = {"flatten": nn.Flatten(), "classifier": nn.Linear(64, 10)}
        return nn.Sequential(OrderedDict(layers))

    runs = compare("split-digits", ["net-naive", "hn-compact"], network=net, seeds=[1], epochs=1)
    parameters = {run.learner: run.n_parameters for run in runs}
    assert parameters["net-naive"] < 7_000  # five heads of 650 and their masks


def test_the_frame():
    runs = compare(two_tasks("classification"), {"mine": build}, seeds=[1, 2], epochs=1)
    frame = runs.to_frame()
    assert list(frame.columns) == ["learner", "seed", "after_task", "task", "error"]
    assert len(frame) == 2 * 3  # a triangle for each seed
    last = frame[(frame.seed == 2) & (frame.after_task == 1)]
    assert list(last.error) == runs[1].error_matrix[1]


def test_a_mapping_gives_names_to_anything():
    learner = Learner(build, grid=({"lr": 0.1},), optimizers=())
    runs = compare(
        two_tasks("classification"),
        {"mine": learner, "theirs": "net-naive"},
        seeds=[3],
        epochs=1,
    )
    assert [run.learner for run in runs] == ["mine", "theirs"]
    assert runs[0].configuration == {"lr": 0.1}


def test_another_loss_is_the_measure():
    x = torch.randn(30, 4)
    many = regression_benchmark([(x, (x > 0).float())])
    runs = compare(many, ["net-naive"], criterion=nn.BCEWithLogitsLoss, seeds=[1], epochs=1)
    assert 0 < runs[0].final_mean_error < 3
    assert find_problem(many, criterion=nn.BCEWithLogitsLoss).measure == "BCEWithLogitsLoss"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--benchmark", "their:make"], "there is no module their"),
        (["--benchmark", "theirs:maker"], "theirs has no maker (did you mean make?)"),
        (["--benchmark", "theirs:net"], "theirs:net must give an Avalanche benchmark"),
        (["--benchmark", "theirs:number"], "benchmark must be a name"),
        (["--network", "theirs:make"], "network failed: TypeError: make() missing 1"),
        (["--network", "theirs:number"], "network must be a function"),
        (["--strategies", "theirs:number"], "a learner must be a name, a function"),
        (["--strategies", "theirs:nothing"], "theirs has no nothing"),
        (["--criterion", "torch.nn:BCELos"], "torch.nn has no BCELos (did you mean BCELoss?)"),
        (["--strategies", "hsf-compact"], "the target is not the input"),
    ],
)
def test_bad_addresses_end_with_one_line(words, message, module, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*WORDS, *words, "--out", "not-made"])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error and error.count("\n") == 1
    assert not Path("not-made").exists()


def test_a_learner_that_fails_loses_nothing_and_is_named(module, capsys):
    names = "net-naive,theirs:fails,theirs:fails_when_tuned,theirs:unmeasured"
    assert main([*WORDS, "--strategies", names, "--out", "out"]) == 1
    shown = capsys.readouterr().out
    assert "failed: theirs:fails on theirs:make, seed 1: RuntimeError: it fails" in shown
    assert (
        "failed: theirs:fails_when_tuned: every configuration failed in tuning, left out" in shown
    )
    assert "lacks the evaluator it was given" in shown
    assert {run.learner for run in ResultsFile("out").runs} == {"net-naive"}


def sloppy(setting, **arguments):
    model = setting.make_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = setting.problem.criterion()
    sizes = {"train_mb_size": 500, **arguments}
    return Naive(model=model, optimizer=optimizer, criterion=criterion, **sizes)


def frugal(setting, *, train_epochs=1, **arguments):
    return sloppy(setting, train_epochs=train_epochs, train_mb_size=setting.mb_size, **arguments)


def test_a_method_with_another_budget_is_said_to_have_one(tmp_path):
    learners = {"net-naive": "net-naive", "mine": sloppy}
    comparison = Comparison.of("split-digits", learners, seeds=[1], epochs=2)
    for _ in range(2):  # the second time from the file
        with pytest.warns(UserWarning, match="not on equal terms") as caught:
            runs = compare("split-digits", learners, seeds=[1], epochs=2, out=tmp_path)
        (said,) = {str(w.message) for w in caught if "equal terms" in str(w.message)}
        assert "mine is not on equal terms: it was built with train_epochs 1, not 2" in said
        assert "train_mb_size 500, not 32. Pass **setting.arguments on" in said
        report = compare_report(comparison, runs)
        assert said in report.headline and "as named; train_epochs 1, not 2" in str(report)


def test_a_budget_that_the_table_shows_is_not_warned_of():
    learner = Learner(frugal, optimizers=(), grid=({"train_epochs": 1},))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*equal terms")
        (run,) = compare("split-digits", {"frugal": learner}, seeds=[1], epochs=2)
    assert run.budget == "" and run.configuration == {"train_epochs": 1}


def takes_nothing(**arguments):
    raise AssertionError


def takes_the_setting_alone(setting):
    raise AssertionError


def takes_more(setting, size, **arguments):
    raise AssertionError


@pytest.mark.parametrize("method", [takes_nothing, takes_the_setting_alone, takes_more])
def test_a_method_that_cannot_be_called_is_refused_first(method):
    write = rf"write def {method.__name__}\(setting, \*\*arguments\)"
    with pytest.raises(TypeError, match=write):
        compare("split-digits", {"own": method}, seeds=[1], epochs=1)


def test_runs_are_printed_as_a_line_each():
    learners = {"net-naive": "net-naive", "mine": _fails}
    runs = compare("split-digits", learners, seeds=[1, 2], epochs=1)
    heads, naive, mine, *failures = str(runs).splitlines()
    assert heads.split() == ["learner", "seeds", "final", "mean", "error", "forgetting"]
    errors = [run.final_mean_error for run in runs]
    lost = [run.mean_and_worst_forgetting[0] for run in runs]
    numbers = [f"{sum(errors) / 2:.2e}", f"{sum(lost) / 2:+.2e}"]
    assert naive.split() == ["net-naive", "2", *numbers]
    assert mine.split() == ["mine", "0", "nan", "+nan"] and failures == runs.failures


def _fails(setting, **arguments):
    raise RuntimeError("it fails")


def test_a_method_is_one_file(tmp_path, monkeypatch):
    """What CONTRIBUTING.md says: a file with LEARNERS; its names are taken over by a program."""
    (tmp_path / "sgd.py").write_text(METHOD)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    found = find_methods()
    assert set(found) == {*LEARNERS, "net-sgd"}
    monkeypatch.setitem(LEARNERS, "net-sgd", found["net-sgd"])
    (run,) = compare("split-digits", ["net-sgd"], seeds=[1], epochs=1)
    assert run.configuration == {"lr": 0.1}
    sys.modules.pop(f"{methods.__name__}.sgd")


METHOD = next(
    block.removeprefix("python\n")
    for block in (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text().split("```")
    if "LEARNERS = " in block
)


def test_a_strategy_that_is_built_without_network_or_stream_of_ours():
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 2)

        def forward(self, x):
            return self.layer(x)

    def naive(setting, **arguments):
        model = Classifier()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        return Naive(model=model, optimizer=optimizer, **setting.arguments, **arguments)

    (run,) = compare(two_tasks("classification"), {"mine": naive}, seeds=[1], epochs=1)
    assert run.n_parameters == 4
