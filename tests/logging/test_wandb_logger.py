"""Offline runs of Weights & Biases, read from the files that would be synced."""

import copy
import json
import math
import pickle
import struct
import sys
import time

import logged
import pytest
import torch
from avalanche.evaluation.metric_results import AlternativeValues

from avalanche_hsf.logging import WandBLogger
from avalanche_hsf.logging import base as base_module

wandb = pytest.importorskip("wandb")
BLOCK = 32768


def records_in(path):
    """The records of a .wandb file, in the format of LevelDB's logs."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, part = path.read_bytes(), 7, b""  # a head of seven bytes
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        if at + 7 + length > len(content):
            return
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record, part = Record.FromString(part), b""
            yield record


def finished(path):
    """All records of a run, whose file wandb's own process may still write when it is finished."""
    for _ in range(600):
        records = list(records_in(path))
        if any(record.HasField("exit") for record in records):
            return records
        time.sleep(0.1)
    raise AssertionError(f"{path} was never finished")


def rows_in(folder):
    """The rows that were logged, of each run of a folder from the oldest on."""
    rows = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for record in finished(path):
            if record.history.item:
                row = {}
                for item in record.history.item:
                    *above, key = item.nested_key or [item.key]
                    inner = row
                    for each in above:
                        inner = inner.setdefault(each, {})
                    inner[key] = json.loads(item.value_json)
                rows.append(row)
    return rows


def logger_in(folder):
    return WandBLogger(
        "digits",
        config={"lr": 0.1},
        dir=folder,
        params={"mode": "offline", "settings": {"silent": True}},
    )


def values_of(rows, name):
    found = [row for row in rows if name in row]
    return [row["iteration"] for row in found], [row[name] for row in found]


def test_a_run(tmp_path):
    logger = logger_in(tmp_path)
    results = logged.go_through(logged.make([logger]))
    summary = dict(logger.run.summary)
    assert dict(logger.run.config) == {"lr": 0.1} and logger.run.project == "digits"
    logger.close()
    rows = rows_in(tmp_path)
    for name in (
        "Top1_Acc_MB/train_phase/train_stream/Task001",
        "Time_Epoch/train_phase/train_stream/Task000",
        "Drift_Epoch/train_phase/train_stream/Task000/1",
        "StreamForgetting/eval_phase/test_stream",
    ):
        assert values_of(rows, name) == results[name]
        assert summary[name] == results[name][1][-1]
    assert math.isnan(values_of(rows, "Odd/eval_phase/nan")[1][-1])
    assert values_of(rows, "Odd/eval_phase/inf")[1][-1] == math.inf
    assert values_of(rows, "Said/eval_phase")[1] == ["one, two\nthree"] * 2
    name = "ErrorRateMatrix/eval_phase/test_stream"
    last = values_of(rows, f"{name}/table")[1][-1]
    (files,) = tmp_path.glob("wandb/offline-run-*/files")
    table = json.loads((files / last["path"]).read_text())
    assert table["columns"] == ["i", "j", "value"]
    cells = [
        [i, j, x] for i, row in enumerate(results[name][1][-1].tolist()) for j, x in enumerate(row)
    ]
    assert table["data"] == cells
    name = "ConfusionMatrix_Stream/eval_phase/test_stream"
    assert values_of(rows, name)[1][-1]["_type"] == "image-file"
    assert values_of(rows, f"{name}/table")[1][-1]["nrows"] == 100


def test_objects_of_wandb_and_binary_values(tmp_path):
    logger = logger_in(tmp_path)
    chart = wandb.plot.confusion_matrix(y_true=[0, 1], preds=[0, 1], class_names=["a", "b"])
    logger.log_single_metric("chart", AlternativeValues(chart), 0)
    logger.log_single_metric("histogram", wandb.Histogram([1, 2, 3]), 0)
    logger.log_single_metric("Weights/train_phase", b"123", 0)
    logger.log_single_metric("vector", torch.tensor([1.0, math.nan]), 0)
    logger.log_single_metric("cube", torch.ones(2, 2, 2), 0)
    with pytest.warns(UserWarning, match="logged as the text"):
        logger.log_single_metric("odd", object(), None)
    logger.close()
    rows = rows_in(tmp_path)
    assert values_of(rows, "histogram")[1][0]["_type"] == "histogram"
    assert any("chart" in key for row in rows for key in row)
    assert values_of(rows, "vector/table")[1][0]["ncols"] == 2
    assert values_of(rows, "cube/table")[1][0]["nrows"] == 8
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    artifacts = [r.artifact.name for r in finished(path) if r.HasField("artifact")]
    assert "Weights_train_phase" in artifacts


def test_it_goes_on_with_id_and_step(tmp_path, monkeypatch):
    logger = logger_in(tmp_path)
    logger.log_single_metric("a", 1.0, 0)
    state, content = logger.state_dict(), pickle.dumps(logger)
    assert state["step"] == 1
    logger.close()
    other = logger_in(tmp_path)
    other.load_state_dict(state)
    other.log_single_metric("a", 2.0, 1)
    assert other.run.id == state["id"]
    other.close()
    monkeypatch.setattr(base_module, "_PROCESS", "another")
    loaded = pickle.loads(content)
    loaded.log_single_metric("a", 2.0, 1)
    assert loaded.run.id == state["id"] and loaded.state_dict()["step"] == 2
    assert copy.deepcopy(loaded).init_kwargs["id"] == state["id"]
    loaded.close()
    steps = {row["a"]: row["_step"] for row in rows_in(tmp_path)}
    assert steps == {1.0: 0, 2.0: 1}


def test_a_run_that_is_held_by_another_is_left(tmp_path):
    logger = logger_in(tmp_path)
    logger.log_single_metric("a", 1.0, 0)
    other = logger_in(tmp_path)
    other.load_state_dict(logger.state_dict())
    with pytest.warns(UserWarning, match="cannot be gone on with, a new one begins: .* in use"):
        other.log_single_metric("a", 2.0, 1)
    assert other.run.id != logger.run.id
    logger.close()
    other.close()
    assert sorted(row["a"] for row in rows_in(tmp_path)) == [1.0, 2.0]


def test_a_run_that_was_finished_stops_no_training(tmp_path):
    logger = logger_in(tmp_path)
    logger.log_single_metric("a", 1.0, 0)
    logger.run.finish()
    with pytest.warns(UserWarning, match="were not logged") as caught:
        for _ in range(2):
            logger.log_single_metric("a", 1.0, 0)
    assert len(caught) == 1


def test_without_wandb(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match="WandBLogger needs wandb: pip install wandb"):
        WandBLogger()
