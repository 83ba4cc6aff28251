"""The command sweep: what it changes, and that nothing else changes."""

import json
from contextlib import suppress

import pytest
import torch

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import ResultsFile, run
from avalanche_hsf.experiments.commands.variations import everything
from avalanche_hsf.experiments.commands.variations import variations as variations_of
from avalanche_hsf.hyperparameters import FACTORS, LEAST, POSITIVE, SETTABLE, check_value
from avalanche_hsf.training import PRESETS, HSFStrategy
from avalanche_hsf.training.hyperparameters import arguments_for, values_of


def variations(preset, vary, **given):
    return variations_of(preset, values_of(preset), vary, **given)


def labels(preset, vary):
    return {
        each.label: dict(each.varied)
        for each in variations(preset, vary, latent_dim=24, epochs=300)
    }


def test_the_papers_debugging_experiments():
    """Section 3.3: replay and sep left out, both increased; and each term alone."""
    found = labels("paper", {"loss-terms": ()})
    assert found["as it is"] == {}
    assert found["recon + nll"] == {"gamma": 0, "delta": 0}
    assert found["recon + replay"] == {"beta": 0, "delta": 0}
    assert found["recon alone"] == {"beta": 0, "gamma": 0, "delta": 0}
    assert found["without nll"] == {"beta": 0}
    assert [found[f"replay and sep x {k}"] for k in (2, 5, 10)] == [
        {"gamma": 2.0 * k, "delta": 1.5 * k} for k in (2, 5, 10)
    ]


def test_values_given_and_multiples_of_the_presets_own():
    assert labels("paper", {"gamma": (0.5, 2, 8)}) == {
        "as it is": {},
        "gamma 0.5": {"gamma": 0.5},
        "gamma 8": {"gamma": 8},  # 2 is the preset's own
    }
    assert labels("paper", {"solver_steps": ()}).keys() == {
        "as it is",
        "solver_steps 5",
        "solver_steps 20",
    }
    epochs = variations("paper", {"epochs": ()}, latent_dim=24, epochs=300)
    assert [each.epochs for each in epochs] == [300, 100, 600]


def test_multiples_of_a_latent_of_width_2_can_be_built():
    widths = variations("paper", {"latent_dim": ()}, latent_dim=2, epochs=300)
    assert [dict(each.varied) for each in widths] == [{}, {"latent_dim": 4}]


@pytest.mark.parametrize("name", SETTABLE)
def test_the_range_of_a_hyperparameter_is_the_models(name):
    """What is refused before torch is imported is what could not be built, and no more."""

    def build(value):
        given = arguments_for("paper", {name: value})
        HSFStrategy.from_preset("paper", input_dim=3, evaluator=None, **given)

    accepted = []
    for value in (-1, 0, 1e-3) if name not in LEAST else (-1, 0, 1, 2):
        with suppress(ValueError):
            build(value)
            accepted.append(value)
    least = LEAST.get(name, 1e-3 if name in POSITIVE else 0)
    assert min(accepted) == least == check_value(name, least)
    below = [value for value in (-1, 0, 1) if value < least]
    for value in below:
        with pytest.raises(ValueError, match=name):
            check_value(name, value)


@pytest.mark.parametrize("name", FACTORS)
def test_each_hyperparameter_reaches_the_learner(name):
    """What a strategy is made of differs in the one thing that was changed."""

    def described(varied):
        torch.manual_seed(0)
        given = arguments_for("paper", varied)
        strategy = HSFStrategy.from_preset("paper", input_dim=3, evaluator=None, **given)
        strategy.model.hypernetwork.add_task(0)
        model = strategy.model
        return {
            "beta": strategy.beta.scale,
            "gamma": strategy.gamma,
            "delta": strategy.delta,
            "lr": strategy.optimizer.defaults["lr"],
            "solver_steps": (model.encoder_sde.n_steps, model.decoder_sde.n_steps),
            "diffusion_scale": (
                model.encoder_sde.diffusion_scale,
                model.decoder_sde.diffusion_scale,
            ),
            "embedding_dim": model.hypernetwork.task_embedding([0]).shape[1],
            "latent_dim": model.latent_dim,
        }

    if name == "epochs":
        return  # an argument of the run, see above
    own, changed = described({}), described({name: 3})
    assert own.pop(name) != changed[name]
    assert changed.pop(name) in (3, (3, 3))
    assert own == changed


@pytest.mark.usefixtures("small_runs")
def test_a_value_that_is_the_presets_own_changes_nothing():
    plain = run("synthetic", "hsf-paper", seed=1, epochs=2)
    own = {"varied": values_of("paper")}
    set_anyway = run("synthetic", "hsf-paper", seed=1, epochs=2, configuration=own)
    assert set_anyway.error_matrix == plain.error_matrix


@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_preset_has(preset):
    chosen = variations(preset, everything(values_of(preset)), latent_dim=24, epochs=300)
    assert len({each.label for each in chosen}) == len(chosen) > 5
    for each in chosen:
        HSFStrategy.from_preset(
            preset, input_dim=3, evaluator=None, **arguments_for(preset, each.varied)
        )


@pytest.mark.usefixtures("small_runs")
def test_the_command(tmp_path, capsys):
    words = ["sweep", "--vary", "loss-terms", "--vary", "lr=0.001", "--seeds", "1"]
    words += ["--epochs", "1", "--checkpoint-every", "0", "--out", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "recon alone" in out and "replay and sep x 10" in out and "lr 0.001" in out
    assert "| as it is" in (tmp_path / "sweep.md").read_text()
    assert (tmp_path / "sweep.png").stat().st_size > 10_000
    runs = ResultsFile(tmp_path).runs
    assert len(runs) == 12
    chosen = [json.loads(each.key.configuration) for each in runs]
    assert chosen.count({"varied": {"beta": 0.0, "gamma": 0.0, "delta": 0.0}}) == 1
    # A second time nothing is run.
    before = (tmp_path / "results.json").read_text()
    assert main(words) == 0
    assert (tmp_path / "results.json").read_text() == before
    assert capsys.readouterr().out == out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--vary", "momentum"], "unknown hyperparameter 'momentum'; choose from loss-terms, beta"),
        (["--vary", "gamma=much"], "must be NAME or NAME=A,B,... with numbers, got 'gamma=much'"),
        (["--preset", "isolated", "--vary", "gamma"], "isolated has no gamma of its own"),
        (["--preset", "isolated", "--vary", "loss-terms"], "isolated has no weight of a loss"),
        (["--vary", "loss-terms=1,2"], "loss-terms takes no values"),
        (["--vary", "beta=-1"], "beta must be a finite number of at least 0, got -1.0"),
        (["--vary", "beta="], "must be NAME or NAME=A,B,... with numbers, got 'beta='"),
        (
            ["--vary", "latent_dim=2.9"],
            "whole number of at most 10000, got 2.9",
        ),
        (["--vary", "latent_dim=1e30"], "latent_dim must be a whole number of at most 10000"),
        (["--vary", "latent_dim=10000"], "choose smaller"),
        (["--vary", "epochs=1.5"], "epochs must be a whole number"),
        (["--vary", "epochs=-1"], "epochs must be at least 1, got -1"),
        (["--vary", "epochs=1e30"], "epochs must be a whole number of at most 1000000"),
        (["--vary", "solver_steps=inf"], "solver_steps must be a finite number, got inf"),
        (["--vary", "embedding_dim=nan"], "embedding_dim must be a finite number, got nan"),
        (["--vary", "lr=inf"], "lr must be a finite number, got inf"),
        (["--vary", "gamma=nan"], "gamma must be a finite number, got nan"),
        (["--preset", "perfect"], "unknown preset 'perfect'"),
        (["--benchmark", "svhn"], "unknown benchmark 'svhn'"),
        (["--benchmark", "split-digits"], "on split-digits the target is not the input"),
    ],
)
def test_bad_words_end_with_one_line(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["sweep", *words, "--out", str(tmp_path / "not-made")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "not-made").exists()
