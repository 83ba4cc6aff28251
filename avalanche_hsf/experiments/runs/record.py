"""One learner on one stream with one seed, and many of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from avalanche_hsf.evaluation import forgetting
from avalanche_hsf.extras import require

if TYPE_CHECKING:
    import pandas as pd

NOT_FINITE = "an error that was measured is not finite"
"""Why a run diverged whose training did not notice."""


class Key(NamedTuple):
    """What makes two runs the same experiment: the fields of `Run` of these names."""

    benchmark: str
    learner: str
    seed: int
    epochs: int
    configuration: str
    network: str
    inputs: str

    @property
    def without_inputs(self) -> Key:
        """The key as runs had it before they knew what their numbers depend on."""
        return self._replace(inputs="")


@dataclass(frozen=True)
class Run:
    """One learner on one stream with one seed.

    Attributes:
        benchmark: Name of the problem, such as "synthetic".
        learner: Name of the learner, such as "hsf-paper".
        seed: Of the stream, where it depends on one, and of training.
        epochs: Training epochs per experience.
        configuration: Optimizer and strength that were chosen; empty for a learner that runs as
            its name says.
        error_matrix: R[i][j], the problem's error on task j after task i; None if not measured.
        forgetting: R[last][j] - R[j][j] by task, positive is worse; None if R[j][j] was not
            measured.
        final_mean_error: Mean of the last row; NaN for a run that diverged.
        final_mean_error_of_mean_path: The same for the mean of `N_PATHS` outputs per sample; None
            for models without noise.
        seconds: Wall time of training and evaluation.
        n_parameters: Numbers in the model at the end, read-outs and frozen parts included.
        floats_kept: What the learner keeps at the end, in units of 4 bytes, see `floats_kept`.
        floats_per_task: What each task after the first added to that, on average; or, where it is
            more, what is kept beside the model, such as a memory, divided by all tasks.
        raw_samples: Raw samples kept at the end.
        bytes_kept: What the learner keeps at the end in bytes, raw samples at the size that the
            problem says, see `bytes_kept`; None in older files.
        bytes_per_task: `floats_per_task` in such bytes; None in older files.
        network: Name of the network that replaced the problem's own; "": none did.
        inputs: Digest of everything the numbers depend on; "" for runs of older files.
        findings: What `avalanche-hsf diagnose` or `reproduce` measured beside, by name; else empty.
        budget: Epochs and minibatches of the strategy where neither are the comparison's, nor in
            `configuration`, such as "train_mb_size 1, not 32"; "": nowhere.
        diverged: Where training or its errors left the finite numbers, in a sentence; "": nowhere.
            Rows of R that were measured before are kept.
    """

    benchmark: str
    learner: str
    seed: int
    epochs: int
    configuration: dict[str, Any]
    error_matrix: list[list[float | None]]
    forgetting: list[float | None]
    final_mean_error: float
    final_mean_error_of_mean_path: float | None
    seconds: float
    n_parameters: int
    floats_kept: int
    floats_per_task: float
    raw_samples: int
    bytes_kept: int | None = None
    bytes_per_task: float | None = None
    network: str = ""
    inputs: str = ""
    findings: dict[str, Any] = field(default_factory=dict)
    budget: str = ""
    diverged: str = ""

    @classmethod
    def from_matrix(cls, matrix: Tensor, **fields: Any) -> Run:
        """A run from its square matrix R, NaN where not measured, and the other fields.

        Without a last row that is finite it has diverged, whatever the fields say.
        """
        final = float(matrix[-1].mean())
        if not math.isfinite(final):
            final, fields["diverged"] = math.nan, fields.get("diverged") or NOT_FINITE
        return cls(
            error_matrix=[
                [_number(error) if j <= i else None for j, error in enumerate(row)]
                for i, row in enumerate(matrix)
            ],
            forgetting=list(map(_number, forgetting(matrix))),
            final_mean_error=math.nan if fields.get("diverged") else final,
            **fields,
        )

    @property
    def key(self) -> Key:
        """What makes two runs the same experiment."""
        fields = {name: getattr(self, name) for name in Key._fields}
        configuration = json.dumps(self.configuration, sort_keys=True)
        return Key(**{**fields, "configuration": configuration})

    @property
    def mean_and_worst_forgetting(self) -> tuple[float, float]:
        """Over all tasks but the last; NaN for learners that train but once."""
        gaps = [gap for gap in self.forgetting[:-1] if gap is not None]
        return (sum(gaps) / len(gaps), max(gaps)) if gaps else (math.nan, math.nan)

    @property
    def matrix(self) -> Tensor:
        """R as a float64 tensor, NaN where it was not measured."""
        rows = [[math.nan if e is None else e for e in row] for row in self.error_matrix]
        return torch.tensor(rows, dtype=torch.float64)


def _number(value: Tensor) -> float | None:
    return float(value) if torch.isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


class Runs(Sequence[Run]):
    """Finished runs, and what became of the others.

    Args:
        runs: The runs.
        failures: A line for each run that was not finished, and for each learner left out.
        learners: Names of those that were asked for, in order. Default: those of the runs.
        seeds: Those that each was asked to run with. Default: those of the runs.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        failures: Sequence[str] = (),
        *,
        learners: Sequence[str] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> None:
        self._runs = list(runs)
        self.failures = list(failures)
        self.learners = list(self.by("learner") if learners is None else learners)
        self.seeds = list(self.by("seed") if seeds is None else seeds)

    @property
    def diverged(self) -> list[str]:
        """A line for each run that diverged."""
        return [
            f"{run.learner} on {run.benchmark}, seed {run.seed}: {run.diverged}"
            for run in self._runs
            if run.diverged
        ]

    def __getitem__(self, i: Any) -> Any:
        return self._runs[i]

    def __len__(self) -> int:
        return len(self._runs)

    def by(self, name: str) -> dict[Any, list[Run]]:
        """The runs grouped by a field, such as "learner"."""
        groups: dict[Any, list[Run]] = {}
        for run in self._runs:
            groups.setdefault(getattr(run, name), []).append(run)
        return groups

    def __str__(self) -> str:
        """A line for each learner: means over its seeds that did not diverge."""
        by_learner = self.by("learner")
        lines = [f"{'learner':<24}{'seeds':>7}{'final mean error':>18}{'forgetting':>12}"]
        for name in self.learners:
            runs = [run for run in by_learner.get(name, ()) if not run.diverged]
            error = _mean([run.final_mean_error for run in runs])
            lost = _mean([run.mean_and_worst_forgetting[0] for run in runs])
            lines.append(f"{name:<24}{len(runs):>7}{error:>18.2e}{lost:>+12.2e}")
        return "\n".join([*lines, *self.diverged, *self.failures])

    def to_frame(self) -> pd.DataFrame:
        """Every measured error in long form, a row each.

        Returns:
            A pandas frame with the columns learner, seed, after_task, task and error: R[i, j] with
            i = after_task and j = task, both counted from 0.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        require("to_frame", "pandas", extra="frame")
        import pandas as pd

        rows = [
            (run.learner, run.seed, i, j, error)
            for run in self._runs
            for i, row in enumerate(run.error_matrix)
            for j, error in enumerate(row)
            if error is not None
        ]
        return pd.DataFrame(rows, columns=["learner", "seed", "after_task", "task", "error"])
