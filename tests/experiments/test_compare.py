"""avalanche-hsf compare: the search, the tables, and what it refuses."""

import csv
import json

import pytest
import torch

from avalanche_hsf.cli import main
from avalanche_hsf.experiments import BENCHMARKS, LEARNERS, ResultsFile, Run, Runs, compare
from avalanche_hsf.experiments.asked import expand
from avalanche_hsf.experiments.commands.compare_report import frontier, tables
from avalanche_hsf.experiments.commands.comparison import GROUPS, Comparison
from avalanche_hsf.experiments.commands.tuning import tune
from avalanche_hsf.experiments.learners.base import RATES, REGULARIZED
from avalanche_hsf.experiments.runs.doors import find_learner
from avalanche_hsf.experiments.runs.engines import in_process
from avalanche_hsf.report import colors
from avalanche_hsf.training import PRESETS


def made(learner, seed, mse, **fields):
    """A run of three tasks, the first of which is forgotten by `mse`."""
    R = torch.tensor([[mse, 0, 0], [mse, mse, 0], [2 * mse, mse, mse]], dtype=torch.float64)
    fields = {
        "benchmark": "synthetic",
        "epochs": 300,
        "configuration": {},
        "final_mean_error_of_mean_path": None,
        "seconds": 1.0,
        "n_parameters": 100,
        "floats_kept": 130,
        "floats_per_task": 15.0,
        "raw_samples": 0,
        "bytes_kept": 520,
        "bytes_per_task": 60.0,
    } | fields
    return Run.from_matrix(R, learner=learner, seed=seed, **fields)


SYNTHETIC = BENCHMARKS["synthetic"]


def tuned(results, benchmark, learner, *, seed, epochs):
    comparison = Comparison.of(benchmark, [learner], seeds=[1], tuning_seed=seed, epochs=epochs)
    configurations, failures = tune(comparison, results, in_process)
    assert not failures
    return configurations[learner]


def test_every_preset_and_every_sound_strategy_has_a_name():
    assert {f"hsf-{name}" for name in PRESETS} <= set(LEARNERS)
    for strategy in ("naive", "replay", "ewc", "online-ewc", "mas", "rwalk", "agem", "gem"):
        assert {f"mlp-{strategy}", f"mlp-task-{strategy}"} <= set(GROUPS["peers"])
    assert expand(["mlp-naive", "presets", "mlp-naive"], GROUPS) == [
        "mlp-naive",
        *GROUPS["presets"],
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hsf-perfect", "unknown learner 'hsf-perfect'.*choose from.*hsf-isolated"),
        ("SynapticIntelligence", "importances of exactly 0"),
        ("mlp-task-lfl", "get_features no task labels"),
    ],
)
def test_names_that_are_not_compared(name, message):
    with pytest.raises(ValueError, match=message):
        find_learner(name)


def test_the_search_takes_the_lowest_error_and_repeats_nothing(tmp_path):
    results = ResultsFile(tmp_path)
    chosen = tuned(results, "random-5", "mlp-lfl", seed=100, epochs=2)
    searched = {run.key.configuration: run.final_mean_error for run in results.runs}
    assert len(searched) == sum(map(len, RATES.values())) + 2  # then two other strengths
    assert json.dumps(chosen, sort_keys=True) == min(searched, key=searched.get)
    assert {run.seed for run in results.runs} == {100}
    again = ResultsFile(tmp_path)
    assert tuned(again, "random-5", "mlp-lfl", seed=100, epochs=2) == chosen
    assert len(again.runs) == len(searched)
    assert tuned(again, "random-5", "hsf-isolated", seed=100, epochs=2) == {}


@pytest.mark.slow
def test_regularization_is_searched_where_samples_are_few(tmp_path):
    results = ResultsFile(tmp_path)
    chosen = tuned(results, "digits", "mlp-separate", seed=100, epochs=2)
    assert len(results.runs) == sum(map(len, RATES.values())) + len(REGULARIZED)
    assert chosen == min(results.runs, key=lambda run: run.final_mean_error).configuration
    assert tuned(results, "digits", "hsf-paper", seed=100, epochs=2) == {}


def test_the_tuning_seed_is_not_reported(tmp_path):
    with pytest.raises(ValueError, match="tuning seed 100 is among the seeds"):
        compare("synthetic", ["mlp-paper"], seeds=[1, 100], epochs=1, out=tmp_path / "not-made")
    assert not (tmp_path / "not-made").exists()


def test_what_the_tables_say():
    runs = [made("hsf-isolated", seed, mse) for seed, mse in enumerate((1e-6, 2e-6, 3e-6))]
    runs += [
        made("mlp-replay", seed, mse, raw_samples=50) for seed, mse in enumerate((1e-3, 2.1e-3))
    ]
    errors, costs = tables(SYNTHETIC, Runs(runs))
    ours, replay = errors.rows
    assert "synthetic, 300 steps per task, 3 seeds" in errors.title
    # Final mean (2 + 1 + 1) / 3 of the seed's error; 95 % by hand: a factor of
    # exp(4.303 * sd / sqrt(3) / mean).
    assert ours[1] == "3" and replay[1] == "2 of 3, 1 failed"
    assert ours[2] == "2.7e-06 [7.7e-07, 9.2e-06]"
    assert ours[4].startswith("4.0e-06")  # worst task
    assert ours[5].startswith("+1.0e-06")  # forgetting, mean over T0 and T1
    assert ours[6] == "+3.0e-06"  # the worst of all runs
    assert ours[7].startswith("-1.0e-06")
    assert ours[8] == "" and 0 < float(replay[8]) < 0.05  # two pairs
    assert list(costs.rows[0][1:5]) == ["15", "0", "130", "100"]
    assert costs.rows[1][2] == "50"
    assert list(costs.rows[0][5:7]) == ["60", "520"]
    assert costs.rows[0][8] == "as named"
    older = [made("hsf-isolated", 0, 1e-6, bytes_kept=None, bytes_per_task=None)]
    assert list(tables(SYNTHETIC, Runs(older))[1].rows[0][4:7]) == ["100", "-", "-"]


def test_a_learner_trained_once_has_no_forgetting():
    R = torch.full((3, 3), float("nan"), dtype=torch.float64)
    R[-1] = 0.5
    run = made("mlp-joint", 0, 1.0)
    joint = Run.from_matrix(
        R,
        **{k: v for k, v in vars(run).items() if k not in COMPUTED},
    )
    assert joint.forgetting[:2] == [None, None]
    (row,) = tables(SYNTHETIC, Runs([joint]))[0].rows
    assert row[2] == "5.0e-01" and list(row[5:8]) == ["-", "-", "-"]


COMPUTED = {"error_matrix", "forgetting", "final_mean_error"}


def test_the_command_end_to_end(tmp_path, capsys):
    command = ["compare", "--benchmark", "bottleneck", "--epochs", "2", "--out", str(tmp_path)]
    names = "hsf-compact,mlp-task-replay,mlp-joint"
    assert main([*command, "--strategies", names, "--seeds", "1,2"]) == 0
    shown = capsys.readouterr().out
    for name in names.split(","):
        assert name in shown
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["learner"], row["seed"]) for row in rows] == [
        (name, seed) for name in names.split(",") for seed in "12"
    ]
    assert all(float(row["final_mean_error"]) > 0 for row in rows)
    by_name = {row["learner"]: row for row in rows}
    assert by_name["mlp-task-replay"]["raw_samples"] == "250"
    assert by_name["mlp-joint"]["forgetting_mean"] == ""
    floats = {name: float(row["floats_per_task"]) for name, row in by_name.items()}
    assert floats["mlp-task-replay"] == 50 * 3
    assert floats["mlp-joint"] == 300 * 3
    assert floats["hsf-compact"] == pytest.approx((641 * 12 / 8 + 10 * 4) / 4, abs=0.5)
    assert (tmp_path / "frontier.png").stat().st_size > 10_000
    assert "| hsf-compact" in (tmp_path / "comparison.md").read_text()
    # A second time everything is there already, and the answer is the same.
    n_runs = len(ResultsFile(tmp_path).runs)
    assert main([*command, "--strategies", names, "--seeds", "1,2"]) == 0
    assert len(ResultsFile(tmp_path).runs) == n_runs
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--benchmark", "svhn"], "unknown benchmark 'svhn'; choose from synthetic"),
        (
            ["--benchmark", "digits", "--strategies", "hsf"],
            "unknown learner 'hsf' (did you mean ids-hsf?); choose from",
        ),
        (["--benchmark", "digits", "--strategies", "LwF"], "LwF is not compared"),
        (["--benchmark", "digits", "--seeds", "1,100"], "the tuning seed 100 is among the seeds"),
        ([], "--benchmark"),
    ],
)
def test_bad_words_end_with_one_line(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compare", *words, "--out", str(tmp_path / "not-made")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "not-made").exists()


def test_the_frontier_has_a_point_for_each_learner():
    runs = Runs([made("hsf-isolated", 0, 1e-6), made("mlp-replay", 0, 1e-3, raw_samples=50)])
    (figure,) = frontier(SYNTHETIC, LEARNERS, runs, colors(runs.learners)).values()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"hsf-isolated", "mlp-replay"} <= set(texts)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_streams_of_another_seed(name, data_root):
    stream = BENCHMARKS[name]
    assert not stream.tuned_on or stream.tuned_on in BENCHMARKS
    first, second = (stream.make(seed).train_stream[0].dataset[0][0] for seed in (1, 2))
    same = torch.equal(first, second)
    is_fixed = name in ("synthetic", "bottleneck", "polynomials") or name.startswith("split-mnist")
    assert same == (is_fixed or name.startswith("split-fashion-mnist"))
