"""What a diagnosis found, as the plain values of a results file, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.forensics import RunFindings

_STRICT = ConfigDict(strict=True, extra="forbid")


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


class _OfPreset(BaseModel):
    """What `commands.diagnose_preset` measures."""

    model_config = _STRICT

    attribution: list[_Attribution]
    sharpness: list[dict[str, float]]
    curves: dict[str, list[Point]]


def plain(findings: RunFindings) -> dict[str, Any]:
    """Dictionaries, lists, texts and numbers; what is unknown is left out."""
    return {name: _known(value) for name, value in asdict(findings).items()}


def findings_in(run: Run) -> RunFindings:
    """What `plain` was given; raises ValueError where it is something else."""
    return TypeAdapter(RunFindings).validate_json(json.dumps(run.findings), strict=True)


def check(where: str, run: Run) -> None:
    """Raises ValueError unless a run's findings are those of its tasks."""
    n_tasks = len(run.error_matrix)
    if "reconstructions" in run.findings:
        curves = _Reconstructions.model_validate(run.findings).reconstructions
        points = {len(set(map(len, (c.true, c.just_learned, c.at_the_end)))) for c in curves}
        if len(curves) != n_tasks or points != {1}:
            raise ValueError(f"{where}: reconstructions are not of one number of tasks and points")
        return
    if "tasks" in run.findings:
        lengths = {len(findings_in(run).tasks)}
    else:
        found = _OfPreset.model_validate(run.findings)
        lengths = {len(found.attribution), len(found.sharpness)}
    if lengths != {n_tasks - 1}:
        raise ValueError(f"{where}: findings are not of one number of tasks")


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _known(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, (list, tuple)):
        return [_known(entry) for entry in value]
    return value
