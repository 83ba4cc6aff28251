"""Runs in a real MLflow store, read back by its client."""

import copy
import json
import math
import pickle
import shutil
import subprocess
import sys

import logged
import pytest
import torch
from avalanche.evaluation.metric_results import MetricValue
from PIL import Image

from avalanche_hsf.logging import MLflowLogger
from avalanche_hsf.logging import base as base_module

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Its tables take seconds to make."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where artifacts of a database are
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def the_run(store):
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("Avalanche").experiment_id])
    return client, run


def test_a_run(store, tmp_path):
    logger = MLflowLogger(store, run_name="digits", params={"lr, first": 0.1}, tags={"kind": "a"})
    results = logged.go_through(logged.make([logger]))
    client, run = the_run(store)
    assert run.info.run_name == "digits" and run.info.status == "RUNNING"
    assert run.data.params == {"lr_ first": "0.1"} and run.data.tags["kind"] == "a"
    for name in (
        "Top1_Acc_MB/train_phase/train_stream/Task001",
        "Time_Epoch/train_phase/train_stream/Task000",
        "Drift_Epoch/train_phase/train_stream/Task000/1",
        "StreamForgetting/eval_phase/test_stream",
    ):
        history = client.get_metric_history(run.info.run_id, name)
        assert ([m.step for m in history], [m.value for m in history]) == results[name]
    assert math.isnan(run.data.metrics["Odd/eval_phase/nan"])
    assert run.data.metrics["Odd/eval_phase/inf"] == sys.float_info.max
    xs, matrices = results["ErrorRateMatrix/eval_phase/test_stream"]

    def artifact(path):
        return client.download_artifacts(run.info.run_id, path, str(tmp_path))

    path = f"arrays/ErrorRateMatrix/eval_phase/test_stream/{xs[-1]:08}.json"
    with open(artifact(path)) as file:
        assert json.load(file) == matrices[-1].tolist()
    path = f"ConfusionMatrix_Stream/eval_phase/test_stream/{xs[-1]:08}"
    assert Image.open(artifact(f"pictures/{path}.png")).size[0] > 100
    with open(artifact(f"arrays/{path}.json")) as file:
        assert len(json.load(file)) == 10
    with open(artifact(f"texts/Said/eval_phase/{xs[-1]:08}.txt")) as file:
        assert file.read() == "one, two\nthree"
    logger.close()
    assert the_run(store)[1].info.status == "FINISHED"


def test_names_that_mlflow_does_not_take(store):
    logger = MLflowLogger(store)
    names = ["a, b/c", "/a//b/../c", "[x]", "", "n" * 400, "ä/é", "m" * 399 + "1"]
    logger.log_metrics([MetricValue(None, name, 1.0, 0) for name in names])
    logger.log_metrics([MetricValue(None, name, torch.eye(2), 0) for name in names])
    logger.log_metrics(
        [MetricValue(None, "weights", b"123", 0), MetricValue(None, "n", 10**400, 0)]
    )
    logger.close()
    client, run = the_run(store)
    assert len(run.data.metrics) == len(names) + 1
    assert {"a_ b/c", "_/a/_/b/_/c", "_x_"} <= run.data.metrics.keys()
    assert len(client.list_artifacts(run.info.run_id, "arrays")) == len(names) - 1  # "_" has two


def test_copies_go_on_with_the_run(store, monkeypatch):
    logger = MLflowLogger(store)
    logger.log_single_metric("a", 1.0, 0)
    content = pickle.dumps(logger)
    for value, each in enumerate((logger, copy.deepcopy(logger), pickle.loads(content)), 2):
        each.log_single_metric("a", float(value), value)
        each.close()
    # In another process the run has more than the checkpoint knows: that is not logged again.
    monkeypatch.setattr(base_module, "_PROCESS", "another")
    resumed = pickle.loads(content)
    for value in (2.0, 3.0, 4.0, 5.0):
        resumed.log_single_metric("a", value, int(value))
    resumed.close()
    client, run = the_run(store)
    values = [m.value for m in client.get_metric_history(run.info.run_id, "a")]
    assert values == [1.0, 2.0, 3.0, 4.0, 5.0] and run.info.status == "FINISHED"


def test_nothing_is_logged_twice_after_a_state(store):
    logger = MLflowLogger(store)
    assert logger.state_dict()["run_id"] is None  # asking begins no run
    for value in (1.0, 2.0):
        logger.log_single_metric("a", value, 0)
    state = json.loads(json.dumps(logger.state_dict()))
    logger.log_single_metric("a", 3.0, 1)
    logger.close()
    other = MLflowLogger(store)
    other.load_state_dict(state)
    for value, x in ((3.0, 1), (4.0, 2)):
        other.log_single_metric("a", value, x)
    other.close()
    client, run = the_run(store)
    values = [m.value for m in client.get_metric_history(run.info.run_id, "a")]
    assert values == [1.0, 2.0, 3.0, 4.0]
    with pytest.warns(UserWarning, match="a new one begins"):
        other.load_state_dict({**state, "run_id": "gone"})


def test_a_store_that_fails_stops_no_training(store, monkeypatch):
    logger = MLflowLogger(store)
    logger.log_single_metric("a", 1.0, 0)

    def fail(*args, **kwargs):
        raise mlflow.MlflowException("the server\nis away")

    with monkeypatch.context() as patched:
        for method in ("log_batch", "log_artifact"):
            patched.setattr(mlflow.MlflowClient, method, fail)
        with pytest.warns(UserWarning, match="the server is away") as caught:
            for _ in range(3):
                logger.log_single_metric("a", 2.0, 1)
                logger.log_single_metric("text", "text", 1)
                logger.after_eval(None, None)
        assert len(caught) == 2
        state = logger.state_dict()
    assert len(state["unsent"]) == 3 and state["logged"] == {"a": 1}
    other = MLflowLogger(store)
    other.load_state_dict(state)  # the checkpoint has what the store lacks
    other.close()
    assert other.state_dict()["logged"] == {"a": 4}
    client, run = the_run(store)
    assert len(client.get_metric_history(run.info.run_id, "a")) >= 2


@pytest.mark.slow
def test_a_process_that_ends_sends_the_rest(store):
    code = (
        "import sys; from avalanche_hsf.logging import MLflowLogger; "
        "logger = MLflowLogger(sys.argv[1]); "
        "[logger.log_single_metric('a', float(x), x) for x in range(20)]"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, store], check=True, timeout=200)
    client, run = the_run(store)
    assert len(client.get_metric_history(run.info.run_id, "a")) == 20
    assert run.info.status == "FINISHED"


def test_folders_of_files(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(RuntimeError, match=r"MLflow cannot open .*mlruns: .*ALLOW_FILE_STORE"):
        MLflowLogger(f"{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logger = MLflowLogger(f"{tmp_path}/mlruns")
    logger.log_metrics([MetricValue(None, "Loss", 1.0, 0), MetricValue(None, "Loss/a", 2.0, 0)])
    logger.close()
    assert the_run(f"{tmp_path}/mlruns")[1].data.metrics == {"Loss": 1.0, "Loss.a": 2.0}


def test_what_is_refused(store, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeError, match="MLflow cannot open sqlite"):
        MLflowLogger(f"sqlite:///{tmp_path}/file/mlflow.db")
    with pytest.raises(TypeError, match="tracking_uri must be text"):
        MLflowLogger(tmp_path)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match=r"needs mlflow: pip install 'avalanche-hsf\[mlflow\]'"):
        MLflowLogger(store)
