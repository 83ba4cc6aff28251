"""Runs as text: strict JSON, and nothing else is read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avalanche_hsf.experiments.runs.record import NOT_FINITE, Run

_STRICT = ConfigDict(strict=True, extra="forbid")
_LARGEST = 2**63
_FLOATS = ("final_mean_error", "seconds", "floats_per_task")


class _Content(BaseModel):
    """A results file."""

    model_config = _STRICT

    versions: dict[str, str]
    runs: list[Run]


class _Attribution(BaseModel):
    model_config = _STRICT

    before: float
    after: float
    alone: dict[str, float]
    recovered: dict[str, float]
    shapley: dict[str, float]
    shapley_error: dict[str, float]
    n_evaluations: int
    # Not in files of 2026-11 and before:
    interactions: dict[str, dict[str, float]] = {}
    pairs: dict[str, dict[str, float]] = {}
    n_samples: int = 1
    forgetting_error: float = math.nan
    share_error: dict[str, float] = {}


Point = Annotated[list[float], Field(min_length=2, max_length=2)]


class _Curves(BaseModel):
    """A curve as it is and as it was reconstructed."""

    model_config = _STRICT

    true: list[Point]
    just_learned: list[Point]
    at_the_end: list[Point]


class _Reconstructions(BaseModel):
    """What `commands.reproduce` keeps of the models."""

    model_config = _STRICT

    reconstructions: list[_Curves]


class _Findings(BaseModel):
    """What `commands.diagnose` measures."""

    model_config = _STRICT

    attribution: list[_Attribution]
    sharpness: list[dict[str, float]]
    curves: dict[str, list[Point]]


def text_of_runs(runs: Sequence[Run], versions: Mapping[str, str]) -> str:
    """A results file, a run on each line; numbers that are not finite become null."""
    lines = ",\n".join(json.dumps(_finite(asdict(run)), allow_nan=False) for run in runs)
    return f'{{"versions": {json.dumps(dict(versions))}, "runs": [\n{lines}\n]}}\n'


def runs_of_text(text: str) -> tuple[list[Run], dict[str, str]]:
    """The runs of a results file, and the versions that made them.

    Older files may hold NaN, call a learner a strategy, and lack fields that have a default.

    Raises:
        ValueError: It is anything else; the message says where, in one line.
    """
    try:
        content = json.loads(text, object_pairs_hook=_without_duplicates)
        if isinstance(content, dict) and isinstance(content.get("runs"), list):
            content["runs"] = [_present(fields) for fields in content["runs"]]
        # As JSON, for strict Python objects would have to be runs already.
        checked = _Content.model_validate_json(json.dumps(content))
        for i, run in enumerate(checked.runs):
            _check(f"runs.{i}", run)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise ValueError(f"{where}: {first['msg']}") from error
    except (RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error
    if len({run.key for run in checked.runs}) < len(checked.runs):
        raise ValueError("it holds one run twice")
    return checked.runs, checked.versions


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return fields


def _present(fields: Any) -> Any:
    """A run's fields as they are named and written today, null being NaN where a number must be."""
    if not isinstance(fields, dict):
        return fields
    fields = _finite(fields)
    if "strategy" in fields and "learner" not in fields:
        fields["learner"] = fields.pop("strategy")
    if "final_mean_error" in fields and fields["final_mean_error"] is None:
        fields.setdefault("diverged", NOT_FINITE)
    for name in _FLOATS:
        if name in fields and fields[name] is None:
            fields[name] = math.nan
    if isinstance(fields.get("findings"), dict):
        fields["findings"] = _with_nan(fields["findings"])
    return fields


def _check(where: str, run: Run) -> None:
    """Raises ValueError where fields have the right types but cannot be those of a run."""
    n_tasks = len(run.error_matrix)
    square = all(len(row) == n_tasks for row in run.error_matrix)
    if n_tasks == 0 or not square or len(run.forgetting) != n_tasks:
        raise ValueError(f"{where}: error_matrix and forgetting are not of one number of tasks")
    counts = [run.seed, run.epochs, run.n_parameters, run.floats_kept, run.raw_samples]
    counts.append(run.bytes_kept or 0)
    if not all(0 <= count < _LARGEST for count in counts):
        raise ValueError(f"{where}: a count is negative or too large")
    if any(math.isinf(getattr(run, name)) for name in _FLOATS):
        raise ValueError(f"{where}: a number is too large")
    if math.isnan(run.final_mean_error) and not run.diverged:
        raise ValueError(f"{where}: final_mean_error is null in a run that did not diverge")
    if "reconstructions" in run.findings:
        tasks = _Reconstructions.model_validate(run.findings).reconstructions
        lengths = {len(set(map(len, (t.true, t.just_learned, t.at_the_end)))) for t in tasks}
        if len(tasks) != n_tasks or lengths != {1}:
            raise ValueError(f"{where}: reconstructions are not of one number of tasks and points")
    elif run.findings:
        found = _Findings.model_validate(run.findings)
        if {len(found.attribution), len(found.sharpness)} != {n_tasks - 1}:
            raise ValueError(f"{where}: findings are not of one number of tasks")


def _finite(value: Any) -> Any:
    """A copy in which every number that is not finite is None."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: Any) -> Any:
    """A copy in which every None is NaN."""
    if isinstance(value, dict):
        return {key: _with_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_nan(entry) for entry in value]
    return math.nan if value is None else value
