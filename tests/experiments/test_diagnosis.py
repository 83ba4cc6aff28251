"""The command diagnose, end to end on a small budget."""

import json
from collections import OrderedDict

import pytest
from torch import nn

from avalanche_hsf.cli import main
from avalanche_hsf.experiments.commands.diagnose_preset import components_of
from avalanche_hsf.experiments.commands.diagnose_report import curves, shares
from avalanche_hsf.experiments.runs.findings import findings_in
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder
from avalanche_hsf.training import get_preset

FIGURES = {"shares", "drift", "loss-terms", "conflict"}


@pytest.mark.slow
@pytest.mark.usefixtures("small_runs")
def test_the_command(tmp_path, capsys):
    words = ["diagnose", "--preset", "compact", "--seeds", "3", "--epochs", "2"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "Which part of hsf-compact on synthetic forgot" in out and "Largest eigenvalue" in out
    names = {path.stem for path in tmp_path.glob("*.png")}
    assert {f"mlp-paper-{name}" for name in FIGURES} < names
    # Its tasks share nothing that is trained, so no gradient meets an old one's: no empty figure.
    assert {f"hsf-compact-{name}" for name in FIGURES} - names == {"hsf-compact-conflict"}
    for name in ("hsf-compact", "mlp-paper"):
        assert "Which part of" in (tmp_path / f"{name}-findings.md").read_text()
    ours, mlp = ResultsFile(tmp_path).runs
    for each in (ours, mlp):
        for task, found in enumerate(each.findings["attribution"]):
            total = found["after"] - found["before"]
            assert sum(found["shapley"].values()) == pytest.approx(total, abs=1e-9)
            # The very errors of the run, up to the noise that a pass draws.
            column = [row[task] for row in each.error_matrix]
            assert found["before"] == pytest.approx(column[task], rel=0.2)
        assert len(each.findings["sharpness"]) == 4
    assert set(shares([mlp])) == {"encoder", "decoder"}
    assert all([len(row) for row in rows] == [4] for rows in shares([mlp]).values())
    assert len(curves([mlp], "Drift_Epoch")["encoder"]) == 10
    assert set(curves([ours], "WrittenDrift_Epoch")) == {f"Task{k}" for k in range(4)}
    # Started again, it looks into nothing anew.
    before = (tmp_path / "results.json").read_text()
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "results.json").read_text() == before
    assert json.loads(before)["runs"][0]["findings"]


LEARNER = ["diagnose", "--learner", "net-naive", "--benchmark", "split-digits", "--epochs", "1"]


def small():
    return nn.Sequential(
        OrderedDict(flatten=nn.Flatten(), hidden=nn.Linear(64, 8), classifier=nn.Linear(8, 2))
    )


def test_a_learner_with_heads_that_grow(tmp_path, capsys):
    words = [*LEARNER, "--network", "test_diagnosis:small", "--seeds", "1,2"]
    words += ["--out", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "net-naive on split-digits, 2 seeds: " in shown.out
    assert "Means of 2 seeds" in shown.out and "run 2 of 2: net-naive" in shown.err
    page = (tmp_path / "diagnosis.html").read_text()
    assert "model.hidden" in page and "Which component" in page
    first, _ = [run for run in ResultsFile(tmp_path).runs if run.findings]
    (found, *_), R = findings_in(first).tasks, first.matrix
    assert found.accuracy[0] == pytest.approx(100 * (1 - float(R[0, 0])), abs=1e-4)
    assert found.accuracy[1] == pytest.approx(100 * (1 - float(R[-1, 0])), abs=1e-4)
    # What it found is read back whole; nothing is trained again.
    assert main(words) == 0
    again = capsys.readouterr()
    assert "run 1 of" not in again.err
    assert again.out.split("written:")[0] == shown.out.split("written:")[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learner", "net-nave"], "net-naive"),
        (["--learner", "networks"], "is a group"),
        (["--learner", "net-joint"], "nothing to forget"),
        (["--learner", "net-naive", "--preset", "paper"], "do not go with --learner"),
        (["--network", "torch.nn:Linear"], "--network needs --learner"),
    ],
)
def test_learners_that_cannot_be_diagnosed(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", "--benchmark", "split-digits", *words, "--out", str(tmp_path / "no")])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_components_of_the_papers_network():
    parts = components_of(HypernetSDEFlow(3, **get_preset("paper").hsf))
    assert parts["encoder hypernetwork"] == [f"hypernetwork.generators.{k}" for k in range(4)]
    assert parts["decoder hypernetwork"] == [f"hypernetwork.generators.{k}" for k in (4, 5)]
    assert components_of(HypernetSDEFlow(3)) is None
    assert components_of(MLPAutoencoder(3)) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "perfect"], "unknown preset 'perfect'"),
        (["--set", "latent_dim=1"], "latent_dim must be at least 2"),
        (
            ["--set", "latent_dim=2.9"],
            "whole number of at most 10000, got 2.9",
        ),
        (["--set", "solver_steps=1e30"], "solver_steps must be a whole number"),
        (["--set", "beta=inf"], "beta must be a finite number, got inf"),
        (["--set", "gamma"], "must be NAME=VALUE with a number"),
        (["--set", "epochs=3"], "unknown hyperparameter 'epochs'"),
    ],
)
def test_bad_words_end_with_one_line(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", *words, "--out", str(tmp_path / "not-made")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "not-made").exists()
