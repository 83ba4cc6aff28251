"""What a comparison has to show: tables, a CSV file and the figure of the frontier."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from avalanche_hsf.experiments.report import plot_frontier
from avalanche_hsf.experiments.report.tables import Table, interval, p_against
from avalanche_hsf.experiments.runs.problems import BENCHMARKS
from avalanche_hsf.experiments.runs.results import Run
from avalanche_hsf.experiments.runs.run import N_PATHS

NOTES = (
    f"of {N_PATHS} paths' mean: the error of the mean of {N_PATHS} passes, of models with noise.",
    "forgetting: R[last, j] - R[j, j] over tasks j, positive is worse; worst over tasks and seeds.",
    "p: two-sided paired t-test over seeds of the logarithms of the final mean errors; not "
    "corrected for the number of rows.",
    "floats a task: what a further task adds to what is kept (numbers of 4 bytes; fewer bits count "
    "by their size), or the memory divided by the tasks. What a network has from the start, such "
    "as inputs or heads for all tasks, counts in floats kept alone.",
    "parameters: numbers in the model, frozen parts and fixed random bases included.",
    "configuration: chosen on the tuning seed, or as the learner's name says.",
)
"""What the columns of the tables are."""


def tables(runs: Sequence[Run]) -> list[Table]:
    """What was learned and forgotten, and what it cost; each as mean ± 95 % interval over seeds."""
    by_strategy = _by_strategy(runs)
    first = runs[0].strategy
    n_seeds = max(len(group) for group in by_strategy.values())
    stream = BENCHMARKS[runs[0].benchmark]
    unit = "step" if stream.main is None else "epoch"
    about = (
        f"{runs[0].benchmark}, {_counted(runs[0].epochs, unit)} a task, {_counted(n_seeds, 'seed')}"
    )
    errors, costs = [], []
    for name, group in by_strategy.items():
        errors.append(
            [
                name,
                interval([each.final_mean_error for each in group], ".1e", ".1e"),
                interval([_of_mean_path(each) for each in group], ".1e", ".1e"),
                interval([max(_last_row(each)) for each in group], ".1e", ".1e"),
                interval([each.mean_and_worst_forgetting[0] for each in group], "+.1e", ".1e"),
                f"{max(each.mean_and_worst_forgetting[1] for each in group):+.1e}".replace(
                    "+nan", "-"
                ),
                interval([-each.mean_and_worst_forgetting[0] for each in group], "+.1e", ".1e"),
                "" if name == first else p_against(by_strategy[first], group),
            ]
        )
        chosen = group[0].configuration
        costs.append(
            [
                name,
                f"{_mean([each.floats_per_task for each in group]):,.0f}",
                f"{_mean([each.raw_samples for each in group]):,.0f}",
                f"{_mean([each.floats_kept for each in group]):,.0f}",
                f"{_mean([each.n_parameters for each in group]):,.0f}",
                interval([each.seconds for each in group], ".0f", ".0f"),
                ", ".join(_named_values(chosen)) or "as named",
            ]
        )
    return [
        Table(
            f"Errors on {about}: mean ± 95 % interval",
            [
                "strategy",
                f"final mean {stream.measure}",
                f"of {N_PATHS} paths' mean",
                "worst task",
                "forgetting, mean",
                "worst",
                "backward transfer",
                f"p against {first}",
            ],
            errors,
        ),
        Table(
            f"Costs on {about}",
            [
                "strategy",
                "floats a task",
                "raw samples",
                "floats kept",
                "parameters",
                "seconds",
                "configuration",
            ],
            costs,
        ),
    ]


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """One line for each run, for other programs."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "benchmark",
                "strategy",
                "seed",
                "epochs",
                "configuration",
                "final_mean_error",
                "final_mean_error_of_mean_path",
                "worst_task_error",
                "forgetting_mean",
                "forgetting_worst",
                "backward_transfer",
                "floats_per_task",
                "raw_samples",
                "floats_kept",
                "n_parameters",
                "seconds",
            ]
        )
        for each in runs:
            mean, worst = each.mean_and_worst_forgetting
            writer.writerow(
                [
                    *each.key[:4],
                    each.key[4],
                    each.final_mean_error,
                    each.final_mean_error_of_mean_path,
                    max(_last_row(each)),
                    *("" if math.isnan(v) else v for v in (mean, worst, -mean)),
                    each.floats_per_task,
                    each.raw_samples,
                    each.floats_kept,
                    each.n_parameters,
                    round(each.seconds, 2),
                ]
            )


def frontier(runs: Sequence[Run]) -> Figure:
    """Error against floats kept a task, one point for each learner."""
    return plot_frontier(
        {
            name: (
                _mean([each.floats_per_task for each in group]),
                [each.final_mean_error for each in group],
                group[0].raw_samples > 0,
            )
            for name, group in _by_strategy(runs).items()
        },
        title=f"{runs[0].benchmark}: what retention costs",
        measure=BENCHMARKS[runs[0].benchmark].measure,
    )


def _named_values(configuration: Mapping[str, Any]) -> Iterator[str]:
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _named_values(value)
        else:
            yield f"{key} {value}"


def _by_strategy(runs: Sequence[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for each in runs:
        groups.setdefault(each.strategy, []).append(each)
    return groups


def _last_row(run: Run) -> list[float]:
    return [math.nan if mse is None else mse for mse in run.error_matrix[-1]]


def _of_mean_path(run: Run) -> float:
    mse = run.final_mean_error_of_mean_path
    return math.nan if mse is None else mse


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
