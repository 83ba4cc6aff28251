"""What a comparison has to show: tables, a CSV file and the figure of the frontier."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from avalanche_hsf.experiments.learners import Learner, Problem
from avalanche_hsf.experiments.report import Report, Table, plot_frontier
from avalanche_hsf.experiments.report.tables import interval, p_against
from avalanche_hsf.experiments.runs.record import Run, Runs
from avalanche_hsf.experiments.runs.run import N_PATHS

NOTES = (
    f"of {N_PATHS} paths' mean: the error of the mean of {N_PATHS} passes, of models with noise.",
    "forgetting: R[last, j] - R[j, j] over tasks j, positive is worse; worst over tasks and seeds.",
    "p: two-sided paired t-test over seeds of the logarithms of the final mean errors; not "
    "corrected for the number of rows.",
    "floats per task: what a further task adds to what is kept (numbers of 4 bytes; fewer bits "
    "count by their size), or the memory divided by the tasks. What a network has from the start, "
    "such as inputs or heads for all tasks, counts in floats kept alone.",
    "parameters: numbers in the model, frozen parts and fixed random bases included.",
    "configuration: chosen on the tuning seed, or as the learner's name says.",
)
"""What the columns of the tables are."""


def compare_report(problem: Problem, learners: Mapping[str, Learner], runs: Runs) -> Report:
    """The tables, a line per run for other programs, and the figure of the frontier."""
    return Report(
        "comparison",
        tables(problem, runs),
        NOTES,
        {"frontier.png": frontier(problem, learners, runs)},
        {"comparison.csv": csv_text(runs)},
        runs.failures,
    )


def tables(problem: Problem, runs: Runs) -> list[Table]:
    """What was learned and forgotten, and what it cost; each as mean ± 95 % interval over seeds."""
    by_learner = runs.by("learner")
    first = runs[0].learner
    n_seeds = max(len(group) for group in by_learner.values())
    name = ", ".join(filter(None, [runs[0].benchmark, runs[0].network]))
    epochs = _counted(runs[0].epochs, problem.unit)
    about = f"{name}, {epochs} per task, {_counted(n_seeds, 'seed')}"
    errors = {
        "learner": list(by_learner),
        f"final mean {problem.measure}": [_errors(g) for g in by_learner.values()],
        f"of {N_PATHS} paths' mean": [_of_mean_paths(g) for g in by_learner.values()],
        "worst task": [_worst_tasks(g) for g in by_learner.values()],
        "forgetting, mean": [_forgetting(g, 1) for g in by_learner.values()],
        "worst": [_worst_forgetting(g) for g in by_learner.values()],
        "backward transfer": [_forgetting(g, -1) for g in by_learner.values()],
        f"p against {first}": [
            "" if learner == first else p_against(by_learner[first], group)
            for learner, group in by_learner.items()
        ],
    }
    costs = {
        "learner": list(by_learner),
        "floats per task": [_mean_of(g, "floats_per_task") for g in by_learner.values()],
        "raw samples": [_mean_of(g, "raw_samples") for g in by_learner.values()],
        "floats kept": [_mean_of(g, "floats_kept") for g in by_learner.values()],
        "parameters": [_mean_of(g, "n_parameters") for g in by_learner.values()],
        "seconds": [interval([r.seconds for r in g], ".0f", ".0f") for g in by_learner.values()],
        "configuration": [
            ", ".join(_named_values(g[0].configuration)) or "as named" for g in by_learner.values()
        ],
    }
    return [
        Table.of_columns(f"Errors on {about}: mean ± 95 % interval", errors),
        Table.of_columns(f"Costs on {about}", costs),
    ]


def csv_text(runs: Sequence[Run]) -> str:
    """One line per run, for other programs."""
    text = io.StringIO(newline="")
    writer: csv.DictWriter[str] | None = None
    for run in runs:
        row = _row(run)
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return text.getvalue()


def _row(run: Run) -> dict[str, Any]:
    mean, worst = run.mean_and_worst_forgetting
    return {
        "benchmark": run.benchmark,
        "network": run.network,
        "learner": run.learner,
        "seed": run.seed,
        "epochs": run.epochs,
        "configuration": run.key.configuration,
        "final_mean_error": run.final_mean_error,
        "final_mean_error_of_mean_path": run.final_mean_error_of_mean_path,
        "worst_task_error": max(_last_row(run)),
        "forgetting_mean": _blank_if_nan(mean),
        "forgetting_worst": _blank_if_nan(worst),
        "backward_transfer": _blank_if_nan(-mean),
        "floats_per_task": run.floats_per_task,
        "raw_samples": run.raw_samples,
        "floats_kept": run.floats_kept,
        "n_parameters": run.n_parameters,
        "seconds": round(run.seconds, 2),
    }


def frontier(problem: Problem, learners: Mapping[str, Learner], runs: Runs) -> Figure:
    """Error against floats kept per task, one point for each learner."""
    by_learner = runs.by("learner")
    return plot_frontier(
        {
            name: (
                _mean([run.floats_per_task for run in group]),
                [run.final_mean_error for run in group],
                group[0].raw_samples > 0,
            )
            for name, group in by_learner.items()
        },
        title=f"{runs[0].benchmark}: what retention costs",
        measure=problem.measure,
        ours=[name for name in by_learner if learners[name].ours],
    )


def _errors(group: Sequence[Run]) -> str:
    return interval([run.final_mean_error for run in group], ".1e", ".1e")


def _of_mean_paths(group: Sequence[Run]) -> str:
    errors = [run.final_mean_error_of_mean_path for run in group]
    return interval([math.nan if error is None else error for error in errors], ".1e", ".1e")


def _worst_tasks(group: Sequence[Run]) -> str:
    return interval([max(_last_row(run)) for run in group], ".1e", ".1e")


def _forgetting(group: Sequence[Run], sign: int) -> str:
    return interval([sign * run.mean_and_worst_forgetting[0] for run in group], "+.1e", ".1e")


def _worst_forgetting(group: Sequence[Run]) -> str:
    worst = max(run.mean_and_worst_forgetting[1] for run in group)
    return "-" if math.isnan(worst) else f"{worst:+.1e}"


def _mean_of(group: Sequence[Run], name: str) -> str:
    return f"{_mean([getattr(run, name) for run in group]):,.0f}"


def _named_values(configuration: Mapping[str, Any]) -> Iterator[str]:
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _named_values(value)
        else:
            yield f"{key} {value}"


def _last_row(run: Run) -> list[float]:
    return [math.nan if error is None else error for error in run.error_matrix[-1]]


def _blank_if_nan(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
