"""Every metric value in an MLflow run."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import tempfile
import time
import warnings
import weakref
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from avalanche_hsf.checks import check_mapping, shown
from avalanche_hsf.extras import require
from avalanche_hsf.logging.base import MetricLogger
from avalanche_hsf.logging.values import as_json, as_png

_EVERY = 1.0
"""Seconds between two batches of numbers: a batch takes longer than a minibatch."""
_LARGEST_BATCH = 1000
_LONGEST_NAME = 240


class MLflowLogger(MetricLogger):
    """Logs every metric value to an MLflow run.

    Numbers are metrics by Avalanche's name, with the iteration as step. Arrays, text, pictures and
    binary values are artifacts, `arrays/<name>/<iteration>.json`, `texts/...`, `pictures/...` and
    `files/...`. Characters that MLflow does not take in a name are "_". Numbers are sent once a
    second and at the end of an experience or evaluation. A database keeps infinities as the
    largest float.

    The run begins with the first callback of training. After `resume`, or from an Avalanche
    checkpoint, it goes on, and what it has already is not logged again.

    Args:
        tracking_uri: Where runs are kept, such as "sqlite:///mlflow.db" or a server's address;
            None: the variable MLFLOW_TRACKING_URI, or MLflow's default. Folders of files are what
            MLflow 3.17 refuses unless MLFLOW_ALLOW_FILE_STORE is set to true.
        experiment_name: The experiment, which is made if there is none.
        run_name: Name of the run; None: MLflow makes one up.
        params: Hyperparameters of the run, by name.
        tags: Tags of the run, by name.

    Raises:
        MissingExtraError: MLflow is not installed.
        TypeError: An argument is of another type.
        RuntimeError: The store cannot be opened.

    Example:
        >>> logger = MLflowLogger("sqlite:///mlflow.db", params={"lr": 0.1})  # doctest: +SKIP
        >>> evaluator = EvaluationPlugin(ErrorRateMatrix(), loggers=[logger])  # doctest: +SKIP
    """

    transient: ClassVar[tuple[str, ...]] = ("_client", "_end")

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        experiment_name: str = "Avalanche",
        run_name: str | None = None,
        params: dict[str, Any] | None = None,
        tags: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if tracking_uri is not None and not isinstance(tracking_uri, str):
            got = shown(tracking_uri)
            raise TypeError(f"tracking_uri must be text like 'sqlite:///mlflow.db', got {got}")
        self.tracking_uri = tracking_uri
        self.experiment_name = experiment_name
        self.run_name = run_name
        self.params = check_mapping("params", params)
        self.tags = check_mapping("tags", tags)
        self._client: Any = None
        self._end: Any = None  # ends the run, once
        self._run_id: str | None = None
        self._numbers: list[tuple[str, float, int, int]] = []
        self._sent = time.monotonic()
        self._logged: Counter[str] = Counter()
        self._is_resumed = False
        self._there: dict[str, int] = {}
        mlflow = _mlflow()
        uri = mlflow.get_tracking_uri() if tracking_uri is None else tracking_uri
        # There a metric is a file, and a folder if another's name goes on after a slash.
        self._in_folders = urlsplit(uri).scheme in ("", "file")
        try:
            self._experiment()
        except Exception as error:  # MLflow's, SQLAlchemy's, of files, of the network
            raise RuntimeError(f"MLflow cannot open {uri}: {_one_line(error)}") from error

    @property
    def client(self) -> Any:
        """MLflow's client for the store."""
        if self._client is None:
            self._client = _mlflow().MlflowClient(tracking_uri=self.tracking_uri)
        return self._client

    @property
    def run_id(self) -> str:
        """The run, which begins with it."""
        if self._run_id is None:
            run = self.client.create_run(
                self._experiment(), run_name=self.run_name, tags=dict(self.tags)
            )
            self._run_id = str(run.info.run_id)
            for name, value in self.params.items():
                try:
                    self.client.log_param(self._run_id, _safe(name), value)
                except Exception as error:  # MLflow's, of a value that is too long
                    self.warn(name, f"is a parameter that was not logged: {_one_line(error)}")
        if self._end is None:
            self._end = weakref.finalize(self, _end, self.client, self._run_id, self._numbers)
        return self._run_id

    def close(self) -> None:
        """Sends what is left and ends the run, as the end of the process does."""
        if self._end is not None:
            self._end()

    def log_plain(self, name: str, value: Any, iteration: int) -> None:
        if isinstance(value, (int, float)):
            key = _safe(name).replace("/", "." if self._in_folders else "/")
            self._queue((key, _as_float(value), int(time.time() * 1000), iteration))
            return
        kind, ending, content = _as_file(value)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{iteration:08}.{ending}"
            path.write_bytes(content)
            try:
                self.client.log_artifact(self.run_id, str(path), f"{kind}/{_safe(name)}")
            except Exception as error:  # training is worth more than a value
                self.warn(name, f"was not logged: {_one_line(error)}")

    def flush(self) -> None:
        is_due = time.monotonic() - self._sent > _EVERY or len(self._numbers) >= _LARGEST_BATCH
        if self._run_id is None or is_due:
            self._send()

    def after_training_exp(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None:
        self._send()

    def after_eval(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None:
        self._send()

    def state_dict(self) -> dict[str, Any]:
        """The run, and how many values of each metric it was sent."""
        if self._numbers:
            self._send()
        unsent = [list(number) for number in self._numbers]
        logged = self._logged - Counter(name for name, *_ in self._numbers)
        return {"run_id": self._run_id, "logged": dict(logged), "unsent": unsent}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on with the run of the state, or with a new one if the store has it no more."""
        if self._run_id != state["run_id"]:
            self.close()
            self._end = None
        self._run_id, self._is_resumed = state["run_id"], state["run_id"] is not None
        self._there.clear()
        self._numbers.clear()
        self._logged = Counter(state["logged"])
        if self._is_resumed:
            try:
                self.client.update_run(self._run_id, status="RUNNING")
            except Exception as error:  # of any store
                lost = f"MLflow run {self._run_id} cannot be gone on with, a new one begins"
                warnings.warn(f"{lost}: {_one_line(error)}", stacklevel=2)
                self._run_id, self._is_resumed = None, False
        for number in state["unsent"]:
            self._queue(tuple(number))

    def _queue(self, number: tuple[str, float, int, int]) -> None:
        """Takes a number to be sent, unless the run that was resumed has it."""
        name = number[0]
        self._logged[name] += 1
        if self._is_resumed and name not in self._there:
            try:
                self._there[name] = len(self.client.get_metric_history(self.run_id, name))
            except Exception as error:  # of any store
                self.warn(name, f"may be logged twice: {_one_line(error)}")
                self._there[name] = 0
        if self._logged[name] > self._there.get(name, 0):
            self._numbers.append(number)

    def _send(self) -> None:
        self._sent = time.monotonic()
        try:
            _send(self.client, self.run_id, self._numbers)
        except Exception as error:  # the store may be back later
            self.warn("all metrics", f"are kept and sent later: {_one_line(error)}")

    def _experiment(self) -> str:
        experiment = self.client.get_experiment_by_name(self.experiment_name)
        if experiment is not None:
            return str(experiment.experiment_id)
        return str(self.client.create_experiment(self.experiment_name))


def _mlflow() -> Any:
    require("MLflowLogger", "mlflow", extra="mlflow")
    import mlflow

    return mlflow


def _send(client: Any, run_id: str, numbers: list[tuple[str, float, int, int]]) -> None:
    """Sends numbers, and takes each batch that was sent off the list."""
    from mlflow.entities import Metric

    while numbers:
        batch = [Metric(*number) for number in numbers[:_LARGEST_BATCH]]
        client.log_batch(run_id, batch)
        del numbers[: len(batch)]


def _end(client: Any, run_id: str, numbers: list[tuple[str, float, int, int]]) -> None:
    try:
        _send(client, run_id, numbers)
        client.set_terminated(run_id)
    except Exception as error:  # at the end of a process nobody could catch it
        warnings.warn(f"MLflow run {run_id} was not ended: {_one_line(error)}", stacklevel=2)


def _as_file(value: Any) -> tuple[str, str, bytes]:
    """Folder, ending and content of an artifact."""
    if isinstance(value, np.ndarray):
        return "arrays", "json", json.dumps(as_json(value), allow_nan=False).encode()
    if isinstance(value, Image.Image):
        return "pictures", "png", as_png(value)
    if isinstance(value, bytes):
        return "files", "bin", value
    return "texts", "txt", str(value).encode(errors="backslashreplace")


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return float("inf") if value > 0 else float("-inf")


def _safe(name: str) -> str:
    """A name as MLflow takes it, of a metric and of a path."""
    segments = (re.sub(r"[^\w\-. ]", "_", segment) for segment in name.split("/"))
    name = posixpath.join(*("_" if s in ("", ".", "..") else s for s in segments))
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha1(name.encode()).hexdigest()[:8]}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
