"""Every metric value in a run of Weights & Biases."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from avalanche_hsf.checks import check_mapping
from avalanche_hsf.logging.base import MetricLogger


class WandBLogger(MetricLogger):
    """Logs every metric value to a run of Weights & Biases.

    Avalanche 0.6 has a logger of this name, which wandb 0.31 cannot run: it calls
    `wandb.util.generate_id` and names `wandb.viz`, which are gone.

    Numbers and text are logged by Avalanche's name, pictures as `wandb.Image`, an array as a
    `wandb.Table` of its cells, `<name>/table`, binary values as artifacts; charts and other objects
    of wandb pass as they are. The x-axis is "iteration"; each callback with values is a step.

    The run begins with the first callback of training. After `resume`, or from an Avalanche
    checkpoint, a run with the same id goes on at the recorded step: W&B, which takes no step twice,
    ignores what it has already. Not tried here against a server; in offline mode the run that goes
    on is a folder of its own beside the first. Where it cannot go on, as while wandb's process
    holds the run of one that was killed, a new run begins, with a warning.

    Args:
        project_name: Name of the project.
        run_name: Name of the run; None: W&B makes one up.
        config: Hyperparameters of the run, by name.
        dir: Where W&B puts its folder "wandb"; None: the working directory.
        params: Further arguments of `wandb.init`, such as {"mode": "offline"}.

    Raises:
        ImportError: wandb is not installed.

    Example:
        >>> logger = WandBLogger("digits", params={"mode": "offline"})  # doctest: +SKIP
        >>> evaluator = EvaluationPlugin(ErrorRateMatrix(), loggers=[logger])  # doctest: +SKIP
    """

    transient: ClassVar[tuple[str, ...]] = ("_run",)

    def __init__(
        self,
        project_name: str = "Avalanche",
        *,
        run_name: str | None = None,
        config: dict[str, Any] | None = None,
        dir: str | Path | None = None,
        params: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        _wandb()
        config = check_mapping("config", config)
        # A run of its own, also beside another of this process.
        self.init_kwargs: dict[str, Any] = {
            **{"project": project_name, "name": run_name, "config": config, "dir": dir},
            **{"reinit": "create_new", **check_mapping("params", params)},
        }
        if dir is not None:
            Path(dir).mkdir(parents=True, exist_ok=True)  # else wandb takes another
        self._run: Any = None
        self._step = 0
        self._is_resumed = False
        self._rows: dict[int, dict[str, Any]] = {}

    @property
    def run(self) -> Any:
        """The run, which begins with it."""
        if self._run is None:
            try:
                self._run = _wandb().init(**self.init_kwargs)
            except Exception as error:  # wandb's
                if not self._is_resumed:
                    raise
                lost = (
                    f"W&B run {self.init_kwargs.pop('id')} cannot be gone on with, a new one begins"
                )
                warnings.warn(f"{lost}: {error}", stacklevel=2)
                self._run = _wandb().init(**self.init_kwargs)
            self._run.define_metric("*", step_metric="iteration")
            self.init_kwargs["id"] = self._run.id
        return self._run

    def close(self) -> None:
        """Ends the run, as the end of the process does."""
        if self._run is not None:
            self._run.finish()
            self._run = None

    def own_types(self) -> tuple[type, ...]:
        from wandb.plot import CustomChart
        from wandb.sdk.data_types.base_types.wb_value import WBValue

        return CustomChart, WBValue

    def log_plain(self, name: str, value: Any, iteration: int) -> None:
        wandb = _wandb()
        row = self._rows.setdefault(iteration, {"iteration": iteration})
        if isinstance(value, np.ndarray):
            row[f"{name}/table"] = _table(value)
        elif isinstance(value, Image.Image):
            row[name] = wandb.Image(value)
        elif isinstance(value, bytes):
            artifact = wandb.Artifact(re.sub(r"[^\w\-.]", "_", name)[-128:], type="metric")
            with artifact.new_file(f"{iteration:08}.bin", mode="wb") as file:
                file.write(value)
            self.run.log_artifact(artifact)
        else:
            row[name] = str(value) if isinstance(value, str) else value

    def flush(self) -> None:
        rows, self._rows = self._rows, {}
        run = self.run
        for row in rows.values():
            try:
                run.log(row, step=self._step, commit=True)
            except Exception as error:  # wandb's, of a run that was finished
                self.warn("all metrics", f"were not logged: {error}")
            self._step += 1

    def state_dict(self) -> dict[str, Any]:
        """The run's id, and the next step."""
        return {"id": self.init_kwargs.get("id"), "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on with the run of the state."""
        self.close()
        self._step = state["step"]
        if state["id"] is not None:
            self.init_kwargs.update(id=state["id"], resume="allow")
        self._is_resumed = state["id"] is not None


def _wandb() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise ImportError("WandBLogger needs wandb: pip install wandb") from error
    return wandb


def _table(array: np.ndarray) -> Any:
    """A row for each cell: its indices and the number."""
    columns = ["i", "j"][: array.ndim] + [f"i{k}" for k in range(2, array.ndim)]
    cells = zip(np.ndindex(array.shape), array.ravel().tolist(), strict=True)
    data = [[*index, cell] for index, cell in cells]
    return _wandb().Table(columns=[*columns, "value"], data=data)
