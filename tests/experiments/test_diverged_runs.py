"""A run that diverged is a result with a name, and every command outlives it."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.cli import main
from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.experiments import ResultsFile, compare, run
from avalanche_hsf.experiments.learners.base import RATES
from avalanche_hsf.experiments.runs.engines import in_process
from avalanche_hsf.experiments.runs.jobs import Job, make

pytestmark = pytest.mark.usefixtures("small_runs_of_module")
WORDS = {
    "reproduce": ["--epochs", "1"],
    "compare": ["--benchmark", "synthetic", "--strategies", "hsf-paper,mlp-paper", "--epochs", "1"],
    "sweep": ["--preset", "compact", "--vary", "lr=0.01", "--epochs", "1"],
    "diagnose": ["--preset", "compact", "--epochs", "1"],
}
LOWEST = min(RATES["AdamW"])
BASE = {
    "reproduce": "mlp-paper",
    "compare": "hsf-paper",
    "sweep": "hsf-compact",
    "diagnose": "hsf-compact",
}


class Poison(SupervisedPlugin):
    """Makes a weight NaN, or the output infinite in evaluation alone, when a task begins."""

    def __init__(self, task, *, in_evaluation=False):
        super().__init__()
        self.task, self.in_evaluation = task, in_evaluation

    def before_training_epoch(self, strategy, **kwargs):
        if strategy.clock.train_exp_counter == self.task and not self.in_evaluation:
            next(strategy.model.parameters()).data.fill_(math.nan)

    def after_eval_forward(self, strategy, **kwargs):
        if strategy.clock.train_exp_counter > self.task and self.in_evaluation:
            strategy.mb_output = strategy.mb_output + math.inf


def learner(diverges, **options):
    """A stock learner of Avalanche that diverges with some seeds in a task."""

    def build(setting, plugins, **arguments):
        model = nn.Linear(setting.input_dim, setting.input_dim)
        poison = [Poison(diverges[setting.seed], **options)] if setting.seed in diverges else []
        return Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
            criterion=nn.MSELoss(),
            train_mb_size=300,
            train_epochs=setting.epochs,
            plugins=[*poison, *plugins],
            **arguments,
        )

    return build


@pytest.mark.parametrize("task", [0, 2, 4])
def test_a_stock_learner_stops_where_it_diverges(task):
    result = run("synthetic", learner({1: task}), seed=1, epochs=2, progress=False)
    assert f"task {task}" in result.diverged
    assert math.isnan(result.final_mean_error)
    plain = run("synthetic", learner({}), seed=1, epochs=2, progress=False)
    assert not plain.diverged
    assert result.error_matrix[:task] == plain.error_matrix[:task]
    assert all(error is None for row in result.error_matrix[task:] for error in row)
    assert result.n_parameters == plain.n_parameters


def test_errors_that_are_not_finite_diverge_too():
    build = learner({1: 1}, in_evaluation=True)
    result = run("synthetic", build, seed=1, epochs=1, progress=False)
    assert result.diverged == "the error on task 0 after task 1 is inf"
    assert result.error_matrix[0][0] > 0 and result.forgetting[0] is None


def test_what_training_raises_is_the_sentence():
    class Raises(SupervisedPlugin):
        def before_backward(self, strategy, **kwargs):
            raise DivergedError("the gradient of readout is NaN")

    result = run("synthetic", "mlp-paper", seed=1, epochs=1, progress=False, plugins=[Raises()])
    assert result.diverged == "the gradient of readout is NaN"


def test_a_diverged_run_is_kept_as_strict_json(tmp_path):
    learners = {"sound": learner({}), "not": learner({2: 1})}
    runs = compare("synthetic", learners, seeds=[1, 2], epochs=1, out=tmp_path)
    assert len(runs) == 4 and not runs.failures
    assert [line.split(":")[0] for line in runs.diverged] == ["not on synthetic, seed 2"]

    def refuse(constant):
        raise AssertionError(constant)

    text = (tmp_path / "results.json").read_text()
    json.loads(text, parse_constant=refuse)
    (kept,) = (each for each in ResultsFile(tmp_path).runs if each.diverged)
    made = next(each for each in runs if each.diverged)
    assert (kept.key, kept.error_matrix, kept.diverged) == (
        made.key,
        made.error_matrix,
        made.diverged,
    )
    assert math.isnan(kept.final_mean_error) and kept.error_matrix[0][0] > 0
    # Nothing is trained again.
    again = compare("synthetic", learners, seeds=[1, 2], epochs=1, out=tmp_path)
    assert [each.seconds for each in again] == [each.seconds for each in runs]
    assert (tmp_path / "results.json").read_text() == text


def test_a_file_with_nan_as_older_versions_wrote_it(tmp_path):
    build = {"one": learner({})}
    (before,) = compare("synthetic", build, seeds=[1], epochs=1, out=tmp_path)
    path = tmp_path / "results.json"
    content = json.loads(path.read_text())
    (fields,) = content["runs"]
    del fields["diverged"]
    fields["final_mean_error"] = fields["error_matrix"][-1][0] = math.nan
    path.write_text(json.dumps(content))
    assert "NaN" in path.read_text()
    (old,) = compare("synthetic", build, seeds=[1], epochs=1, out=tmp_path)
    assert old.key == before.key and old.diverged and old.error_matrix[-1][0] is None


def test_the_search_takes_no_configuration_that_diverged():
    def build(setting, lr, plugins, **arguments):
        poison = [Poison(0)] if lr > LOWEST else []
        return learner({})(setting, plugins=[*poison, *plugins], **drop(arguments))

    def drop(arguments):
        return {name: value for name, value in arguments.items() if name != "optimizer"}

    runs = compare("synthetic", {"fragile": build}, seeds=[1], epochs=1, tuning_seed=100)
    assert not runs.failures and not runs.diverged and runs[0].configuration["lr"] == LOWEST


def test_a_learner_of_which_every_configuration_diverged_is_named():
    def build(setting, lr, plugins, **arguments):
        arguments.pop("optimizer", None)
        return learner({100: 0})(setting, plugins=plugins, **arguments)

    runs = compare("synthetic", {"lost": build, "sound": learner({})}, seeds=[1], epochs=1)
    assert [each.learner for each in runs] == ["sound"] and runs.learners == ["lost", "sound"]
    (line,) = runs.failures
    assert line.startswith("lost: every configuration diverged in tuning, left out")


def spoil(folder, which):
    """Lets some runs of a results file have diverged in their second task."""
    path = folder / "results.json"
    content = json.loads(path.read_text())
    for fields in content["runs"]:
        if which(fields):
            size = len(fields["error_matrix"])
            fields["error_matrix"][1:] = [[None] * size] * (size - 1)
            fields["forgetting"] = [None] * size
            fields["final_mean_error"] = fields["final_mean_error_of_mean_path"] = None
            fields["diverged"], fields["findings"] = "the loss is NaN", {}
    path.write_text(json.dumps(content))


FINDINGS = {
    "attribution": [
        {
            "before": 0.1,
            "after": 0.3,
            **{kind: {"flow": 0.2} for kind in ("alone", "recovered", "shapley", "shapley_error")},
            "n_evaluations": 4,
        }
    ]
    * 4,
    "sharpness": [{"before, fixed noise": 1.0, "after, fixed noise": None}] * 4,
    "curves": {"LossTerm_Epoch/a/b/c/nll": [[1, 0.5]]},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_runs_of_module):
    """The folder of each command with two seeds, the second's numbers being the first's."""
    folders = {}
    for command, words in WORDS.items():
        folders[command] = tmp_path_factory.mktemp(command)
        if command == "diagnose":  # whose analysis takes a minute
            names = ("hsf-compact", "mlp-paper")
            jobs = [Job("synthetic", name, 1, 1) for name in names]
            make(ResultsFile(folders[command]), jobs, in_process)
        else:
            assert main([command, *words, "--seeds", "1", "--out", str(folders[command])]) == 0
        path = folders[command] / "results.json"
        content = json.loads(path.read_text())
        content["runs"] += [{**fields, "seed": 2} for fields in content["runs"]]
        if command == "diagnose":
            for fields in content["runs"]:
                fields["findings"] = FINDINGS
        path.write_text(json.dumps(content))
    return folders


@pytest.mark.parametrize("command", WORDS)
@pytest.mark.parametrize("which", ["one", "the baseline", "all", "none"])
@pytest.mark.slow
def test_every_command_outlives_it(command, which, finished, tmp_path, capsys):
    (tmp_path / "results.json").write_text((finished[command] / "results.json").read_text())
    spoil(
        tmp_path,
        {
            "one": lambda fields: fields["learner"] == BASE[command] and fields["seed"] == 2,
            "the baseline": lambda fields: (
                fields["learner"] == BASE[command]
                and not (command == "sweep" and fields["configuration"])
            ),
            "all": lambda fields: True,
            "none": lambda fields: False,
        }[which],
    )
    kept = (tmp_path / "results.json").read_text()
    words = [command, *WORDS[command], "--seeds", "1,2", "--out", str(tmp_path)]
    assert main(words) == (0 if which == "none" else 1)
    shown = capsys.readouterr()
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(kept)
    assert "NaN" not in shown.out.replace("loss is NaN", "") and "nan" not in shown.out
    if which == "none":
        assert "diverged:" not in shown.out
        return
    assert "seed 2: the loss is NaN" in shown.out
    assert "the tables are incomplete:" in shown.err.splitlines()[-1]
    if command == "reproduce":
        assert f"{1 if which == 'one' else 0} of 2 seeds: the others have no finite" in shown.out
    else:
        count = "1 of 2, 1 diverged" if which == "one" else "0 of 2, 2 diverged"
        row = next(line for line in shown.out.splitlines() if count in line)
        assert row.startswith(
            "as it is" if command == "sweep" and which != "one" else ("hsf", "as", "lr")
        )
    written = Path(tmp_path).glob("*.md")
    assert any("diverged" in path.read_text() for path in written)


def test_a_csv_has_no_nan(finished, tmp_path, capsys):
    (tmp_path / "results.json").write_text((finished["compare"] / "results.json").read_text())
    spoil(tmp_path, lambda fields: fields["seed"] == 2)
    main(["compare", *WORDS["compare"], "--seeds", "1,2", "--out", str(tmp_path)])
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["diverged"] for row in rows] == ["", "the loss is NaN"] * 2
    assert all((row["final_mean_error"] == "") == (row["seed"] == "2") for row in rows)


def test_one_that_diverges_in_a_command(tmp_path, capsys):
    words = ["sweep", "--preset", "compact", "--vary", "lr=1e30", "--seeds", "1", "--epochs", "2"]
    for _ in range(2):  # the second time it is taken from the file
        assert main([*words, "--out", str(tmp_path)]) == 1
        assert "0 of 1, 1 diverged" in capsys.readouterr().out
    diagnosed = ["diagnose", "--preset", "compact", "--set", "lr=1e30", "--seeds", "1"]
    assert main([*diagnosed, "--epochs", "2", "--out", str(tmp_path / "d")]) == 1
    assert "hsf-compact, lr 1e+30" in capsys.readouterr().out


FAILING = """
import torch
from test_diverged_runs import learner


def sometimes(setting, **arguments):
    if setting.seed == 2:
        raise ValueError("no seed 2")
    return learner({})(setting, **arguments)


def never(setting, **arguments):
    raise SystemExit("not today")
"""


def test_rows_count_their_seeds_and_name_what_failed(tmp_path, monkeypatch, capsys):
    (tmp_path / "failing.py").write_text(FAILING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words = ["compare", "--benchmark", "synthetic", "--epochs", "1", "--seeds", "1,2,3"]
    names = "failing:never,failing:sometimes,mlp-paper"
    assert main([*words, "--strategies", names, "--out", "out"]) == 1
    shown = capsys.readouterr().out
    table = shown.partition("Errors on")[2]
    rows = {line.split()[0]: line for line in table.splitlines() if line}
    assert "0 of 3, 3 failed" in shown and "2 of 3, 1 failed" in shown
    names_of_rows = [name for name in rows if name in names.split(",")]
    assert names_of_rows[0] == "failing:never"  # whoever is first stays first
    assert "p against" not in shown  # there is nothing to compare with
    assert "failed: failing:sometimes on synthetic, seed 2: ValueError: no seed 2" in shown
    assert "SystemExit: not today" in shown and "mlp-paper" in rows
