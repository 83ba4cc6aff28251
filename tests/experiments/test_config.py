"""Words from a TOML file, the file that is written, and the list of names."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, run
from avalanche_hsf.experiments.commands import diagnose_preset
from avalanche_hsf.training import PRESETS

COMMANDS = {
    "reproduce": ["--seeds", "1,2", "--epochs", "1"],
    "compare": ["--benchmark", "split-digits", "--strategies", "net-naive", "--epochs", "1"],
    "diagnose": [
        "--preset=compact",
        "--set=lr=0.001",
        "--set=solver_steps=2",
        "--seeds=1",
        "--epochs=1",
    ],
    "sweep": ["--vary", "lr=0.001,0.002", "--vary", "gamma", "--seeds", "1", "--epochs", "1"],
}


def with_findings(*words, **arguments):
    """A run, and what might have been found."""
    share = {"before": 0.1, "after": 0.3, "n_evaluations": 4}
    share |= {kind: {"flow": 0.2} for kind in ("alone", "recovered", "shapley", "shapley_error")}
    findings = {
        "attribution": [share] * 4,
        "sharpness": [{"before, fixed noise": 1.0, "after, fixed noise": 2.0}] * 4,
        "curves": {"LossTerm_Epoch/a/b/c/nll": [[1, 0.5]]},
    }
    return replace(run(*words, **arguments), findings=findings)


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(c, marks=pytest.mark.slow) if c in ("compare", "reproduce", "sweep") else c
        for c in COMMANDS
    ],
)
def test_the_file_that_is_written_repeats_the_command(command, tmp_path, capsys, monkeypatch):
    # An analysis takes long, and is tested in test_diagnosis.py.
    monkeypatch.setattr(diagnose_preset, "_diagnosed", with_findings)
    assert main([command, *COMMANDS[command], "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    results, file = tmp_path / "results.json", tmp_path / f"{command}.toml"
    before = results.read_text(), file.read_text()
    file = str(file.rename(tmp_path / "words.toml"))
    # The same runs, so none is made, and the same answer.
    assert main([command, "--config", file]) == 0
    assert (results.read_text(), (tmp_path / f"{command}.toml").read_text()) == before
    assert capsys.readouterr().out.split("written:")[0].endswith(shown.split("written:")[0])


def test_the_command_line_comes_first(tmp_path):
    file = tmp_path / "words.toml"
    file.write_text('benchmark = "digits"\nseeds = [1, 2, 3]\nepochs = 7\njobs = 2\nfresh = true\n')
    words = ["--config", str(file), "--benchmark", "split-digits", "--strategies", "net-naive"]
    words += ["--seeds=4", "--epochs", "1", "--jobs", "1", "--out", str(tmp_path)]
    assert main(["compare", *words]) == 0
    runs = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert {(run["benchmark"], run["epochs"]) for run in runs} == {("split-digits", 1)}
    assert {run["seed"] for run in runs} == {4, 100}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("benchmarks = 'digits'", "unknown key 'benchmarks' (did you mean benchmark?)"),
        ("seed = [1]", "unknown key 'seed' (did you mean seeds?)"),
        ("benchmark = 'digits'\nepochs = 'many'", "must be an integer, got 'many'"),
        ("benchmark = 'digits'\nfresh = 3", "fresh must be true or false, got 3"),
        ("benchmark = 'digits'\nepochs = true", "epochs must be a value, got true"),
        ("benchmark =", "is no TOML"),
        ("[sweep]\nepochs = 1", "has no table [compare], only sweep"),
        ("[compare.epochs]\nn = 1", "epochs must be a value, got a table"),
        (None, "No such file"),
    ],
)
def test_a_bad_file_ends_with_one_line(text, message, tmp_path, capsys):
    file = tmp_path / "words.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--config", str(file), "--out", str(tmp_path / "not-made")])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "not-made").exists()


def test_the_list_names_everything_in_a_line(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    for name in [*BENCHMARKS, *LEARNERS, *PRESETS, "MSEMatrix"]:
        (line,) = [line for line in lines if line.split()[:1] == [name]][:1]
        assert len(line.split()) > 3, name  # says what it is
    assert main(["list", "presets"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4 + len(PRESETS)
    with pytest.raises(SystemExit):
        main(["list", "plugins"])
    assert "choose from benchmarks, learners" in capsys.readouterr().err


def test_help_is_quick_and_knows_no_torch():
    """Options are defined apart from what they run."""
    package = Path(__file__).parents[2] / "avalanche_hsf"
    options, types = ((package / f"{name}.py").read_text() for name in ("options", "option_types"))
    assert "import torch" not in options + types and "avalanche_hsf" not in types
    assert options.count("avalanche_hsf") == options.count("from avalanche_hsf.option_types") == 1
