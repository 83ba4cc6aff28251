"""Tidy CSV and JSON lines: read back, killed, resumed, refused."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import logged
import numpy as np
import pandas
import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metric_results import AlternativeValues
from matplotlib.figure import Figure

from avalanche_hsf.checkpoints import CheckpointPlugin, resume
from avalanche_hsf.logging import JSONLinesLogger, TidyCSVLogger
from avalanche_hsf.logging import base as base_module

KINDS = {"metrics.csv": TidyCSVLogger, "metrics.jsonl": JSONLinesLogger}
NAME = "Loss_Exp/eval_phase/test_stream/Task001/Exp001"


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    """Makes a logger, always of the same file."""
    return lambda **options: KINDS[request.param](tmp_path / request.param, **options)


def values_in(path):
    if path.suffix == ".csv":
        return pandas.read_csv(path)["value"].tolist()
    return [json.loads(line)["value"] for line in path.read_text().splitlines()]


def test_a_run(tmp_path):
    loggers = [make(tmp_path / "of" / name) for name, make in KINDS.items()]
    results = logged.go_through(logged.make(loggers))
    table = pandas.read_csv(loggers[0].path)
    assert table["value"].dtype == float
    with open(loggers[1].path) as file:
        lines = [json.loads(line, parse_constant=pytest.fail) for line in file]

    def rows(metric, **where):
        found = table[table["metric"] == metric]
        for column, value in where.items():
            found = found[found[column] == value]
        return found

    for (xs, values), metric in (
        (results["Top1_Acc_MB/train_phase/train_stream/Task000"], "Top1_Acc_MB"),
        (results["Time_Epoch/train_phase/train_stream/Task000"], "Time_Epoch"),
        (results["Drift_Epoch/train_phase/train_stream/Task000/1"], "Drift_Epoch/1"),
    ):
        found = rows(metric, task=0, phase="train", stream="train")
        assert found["value"].tolist() == values and found["iteration"].tolist() == xs
        of_json = [x for x in lines if (x["metric"], x["task"]) == (metric, 0)]
        assert [x["value"] for x in of_json] == values
    accuracy = rows("Top1_Acc_Exp", experience=1, phase="eval")
    assert accuracy["value"].tolist() == results[f"Top1_Acc_Exp/{NAME.split('/', 1)[1]}"][1]
    for metric in ("ErrorRateMatrix", "ConfusionMatrix_Stream"):
        xs, matrices = results[f"{metric}/eval_phase/test_stream"]
        last = matrices[-1]
        last = last.alternatives[1] if isinstance(last, AlternativeValues) else last
        cells = rows(metric, iteration=xs[-1])
        assert np.array_equal(cells.pivot(index="i", columns="j", values="value"), last)
        assert [x["value"] for x in lines if x["metric"] == metric][-1] == last.tolist()
    assert rows("Said")["text"].tolist() == ["one, two\\nthree"] * 2
    assert rows("Odd/nan")["value"].isna().all() and np.isinf(rows("Odd/inf")["value"]).all()
    of_json = {x["metric"]: x["value"] for x in lines}
    assert of_json["Odd/nan"] == "NaN" and of_json["Odd/inf"] == "Infinity"
    assert of_json["Said"] == "one, two\nthree"


class Stopped(Exception):
    pass


class Stopping(SupervisedPlugin):
    at = -1  # of the class, as a checkpoint keeps what a plugin has

    def before_training_iteration(self, strategy, **kwargs):
        if strategy.clock.train_iterations == Stopping.at:
            raise Stopped


@pytest.mark.parametrize("at", [3, 5, 7])
def test_stopped_and_resumed(at, tmp_path, monkeypatch):
    def strategy_in(folder):
        loggers = [make(folder / name) for name, make in KINDS.items()]
        checkpoints = CheckpointPlugin(folder / "checkpoints", every=1)
        strategy = logged.make(loggers, checkpoints, Stopping(), resumable=True)
        return strategy, resume(strategy, folder / "checkpoints")

    logged.go_through(*strategy_in(tmp_path / "whole"))
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Stopping, "at", at)
        logged.go_through(*strategy_in(tmp_path / "stopped"))
    kept = (tmp_path / "stopped" / "metrics.csv").read_text()
    assert f",,{at - 1}," in kept.splitlines()[-1] or at == 5
    logged.go_through(*strategy_in(tmp_path / "stopped"))
    for name in KINDS:
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "stopped" / name).read_bytes() == whole


@pytest.mark.slow
def test_killed_and_resumed(tmp_path):
    script = [sys.executable, "-W", "ignore", Path(logged.__file__)]
    # wandb's own process, if one runs for these tests, would hold the run of what was killed.
    alone = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    for folder, *points in (("whole", -1), ("killed", 7, -1)):
        (tmp_path / folder).mkdir()
        for at in points:
            command = [*script, tmp_path / folder, str(at)]
            ended = subprocess.run(command, timeout=300, env=alone).returncode
            assert ended == (0 if at < 0 else -9)
            if at > 0:
                kept = (tmp_path / folder / "metrics.csv").read_text()
                assert ",train,train,1,,6," in kept  # until the kill, after the checkpoint
    for name in KINDS:
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "killed" / name).read_bytes() == whole
    assert_mlflow_has_the_same(tmp_path)


def assert_mlflow_has_the_same(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    histories = []
    for folder in ("whole", "killed"):
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path / folder}/mlflow.db")
        experiment = client.get_experiment_by_name("Avalanche").experiment_id
        (run,) = client.search_runs([experiment])
        assert run.info.status == "FINISHED"
        of_metric = {k: client.get_metric_history(run.info.run_id, k) for k in run.data.metrics}
        histories.append({k: [(m.step, repr(m.value)) for m in h] for k, h in of_metric.items()})
    assert histories[0] == histories[1] and len(histories[0]) > 8


def test_appended_without_a_second_header(kind):
    for value in (1.0, 2.0):
        kind().log_single_metric(NAME, value, 3)
    assert values_in(kind().path) == [1.0, 2.0]
    kind(append=False).log_single_metric(NAME, 3.0, 3)
    assert values_in(kind().path) == [3.0]


def test_a_line_that_a_kill_has_cut_is_taken_off(kind):
    logger = kind()
    for value in (1.0, 2.0):
        logger.log_single_metric(NAME, value, 3)
    whole = logger.path.read_bytes()
    for cut in (*range(0, 20), len(whole) - 1, len(whole) - 5):
        logger.path.write_bytes(whole[:cut])
        kind().log_single_metric(NAME, 7.0, 3)
        assert values_in(logger.path)[-1] == 7.0 and 2.0 not in values_in(logger.path)


def test_a_state_cuts_what_came_after_it(kind):
    logger = kind()
    logger.log_single_metric(NAME, 1.0, 3)
    state = logger.state_dict()
    logger.log_single_metric(NAME, 2.0, 3)
    other = kind()
    other.load_state_dict(state)
    other.log_single_metric(NAME, 3.0, 3)
    assert values_in(logger.path) == [1.0, 3.0]
    logger.path.unlink()
    with pytest.warns(UserWarning, match="lines are missing"):
        other.load_state_dict(state)
    other.log_single_metric(NAME, 4.0, 3)
    assert values_in(logger.path) == [4.0]


def test_copies_write_to_the_same_file(kind, monkeypatch):
    logger = kind()
    logger.log_single_metric(NAME, 1.0, 3)
    content = pickle.dumps(logger)
    copied, loaded = copy.deepcopy(logger), pickle.loads(content)
    for value, each in enumerate((logger, copied, loaded), 2):
        each.log_single_metric(NAME, float(value), 3)
    assert values_in(logger.path) == [1.0, 2.0, 3.0, 4.0]
    # An Avalanche checkpoint, in another process: from the row on that it had.
    monkeypatch.setattr(base_module, "_PROCESS", "another")
    loaded = pickle.loads(content)
    assert values_in(logger.path) == [1.0, 2.0, 3.0, 4.0]  # looked at alone
    loaded.log_single_metric(NAME, 5.0, 3)
    assert values_in(logger.path) == [1.0, 5.0]


def test_one_warning_for_each_metric(kind):
    logger = kind()
    with pytest.warns(UserWarning) as caught:
        for _ in range(3):
            logger.log_single_metric(NAME, Figure(), 3)
            logger.log_single_metric("Odd/eval_phase", object(), 3)
            logger.log_single_metric("Weights/train_phase", b"123", 3)
    assert len(caught) == 3 and all(type(logger).__name__ in str(w.message) for w in caught)
    written = logger.path.read_text()
    assert "a picture, Figure" in written and "3 bytes" in written


def test_odd_values_stop_no_training(kind):
    class Broken(dict):
        def items(self):
            raise RuntimeError("broken")

    logger = kind()
    cube = torch.arange(8.0).reshape(2, 2, 2)
    with pytest.warns(UserWarning, match="broken"):
        logger.log_single_metric("Odd", Broken(a=1), float("nan"))
    for value in (cube, "\ud800\0\r", 10**400, np.array(["text"]), {1: None}):
        logger.log_single_metric("Odd", value, None)
    assert len(values_in(logger.path)) == (13 if logger.path.suffix == ".csv" else 6)


def test_where_it_cannot_write(kind, tmp_path):
    path = kind().path
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError, match="cannot be written: Is a directory; give another"):
        kind()
    path.rmdir()
    path.write_text("something else\nof somebody\n")
    with pytest.raises(ValueError, match="begins with 'something else"):
        kind()
    assert path.read_text() == "something else\nof somebody\n"
    with pytest.raises(OSError, match=r"cannot be written: .*; give another path"):
        type(kind(append=False))(path / "below" / "a_file")


def test_lines_that_cannot_be_written_now_are_tried_again(kind):
    logger = kind()
    logger.log_single_metric(NAME, 1.0, 3)
    path, content = logger.path, logger.path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.warns(UserWarning, match="tried again") as caught:
        logger.log_single_metric(NAME, 2.0, 3)
        logger.log_single_metric(NAME, 3.0, 3)
    assert len(caught) == 1
    path.rmdir()
    path.write_bytes(content)
    logger.log_single_metric(NAME, 4.0, 3)
    assert values_in(path) == [1.0, 2.0, 3.0, 4.0]
