"""The command diagnose, end to end on a small budget."""

import json

import pytest

from avalanche_hsf.cli import main
from avalanche_hsf.experiments.commands.diagnose import components_of
from avalanche_hsf.experiments.commands.diagnose_report import curves, shares
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder
from avalanche_hsf.training import get_preset

FIGURES = {"shares", "drift", "loss-terms", "conflict"}


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
