"""What a comparison has to show: tables, a CSV file and the figure of the frontier."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from avalanche_hsf.experiments.commands import headline
from avalanche_hsf.experiments.commands.comparison import Comparison
from avalanche_hsf.experiments.learners import Learner, Problem
from avalanche_hsf.experiments.runs.groups import finite, p_against, seeds_of
from avalanche_hsf.experiments.runs.record import Run, Runs
from avalanche_hsf.experiments.runs.run import N_PATHS
from avalanche_hsf.report import (
    Look,
    Report,
    Section,
    Table,
    accuracy,
    bounded,
    colors,
    interval,
    plot_accuracy_over_stream,
    plot_frontier,
)

PATHS = f"of {N_PATHS} paths' mean"

NOTES = (
    "[low, high]: the 95 % interval of the mean over seeds, Student's on the scale of its "
    "logarithm (for shares: of its odds), so that it stays within what is possible; ±: on the "
    "plain scale.",
    f"{PATHS}: of the mean of {N_PATHS} passes, of models with noise.",
    "forgetting: R[last, j] - R[j, j] over tasks j, positive is worse; worst over tasks and seeds.",
    "p: two-sided paired t-test over seeds of the logarithms of the final mean errors, or of the "
    "errors themselves where one of the two learners has a 0; not corrected for the number of "
    "rows.",
    "floats per task: what a further task adds to what is kept (numbers of 4 bytes; fewer bits "
    "count by their size), or the memory divided by the tasks. What a network has from the start, "
    "such as inputs or heads for all tasks, counts in floats kept alone.",
    "bytes: the same in bytes, with raw images as the 8 bits a pixel that they are stored in.",
    "parameters: numbers in the model, frozen parts and fixed random bases included.",
    "seeds: those of the row; a run that diverged or failed is counted here and in nothing else.",
)
"""What the columns of the tables are, but for the configuration."""

HALVED = (
    "by successive halving: of four or more candidates the better half after a tenth of the "
    "epochs, then the best"
)
IN_FULL = "by running every candidate for all epochs"
"""How a configuration was chosen, by the search."""


def compare_report(comparison: Comparison, runs: Runs) -> Report:
    """The tables, a line per run for other programs, and figures of frontier and stream."""
    problem, looks = comparison.problem, colors(runs.learners)
    errors, costs = tables(problem, runs)
    stream = over_stream(problem, runs, looks) if problem.classifies else None
    drawn = {} if stream is None else {"stream.png": stream}
    sections = [
        Section("What was learned and forgotten", tables=[errors], figures=drawn),
        Section(
            "What it costs",
            tables=[costs],
            figures=frontier(problem, comparison.learners, runs, looks),
        ),
    ]
    how = HALVED if comparison.short_epochs else IN_FULL
    has_paths = any(run.final_mean_error_of_mean_path is not None for run in runs)
    return Report(
        "comparison",
        notes=(
            *(note for note in NOTES if has_paths or not note.startswith(PATHS)),
            f"configuration: chosen on the tuning seed, {how}, or as the learner's name says.",
        ),
        files={"comparison.csv": csv_text(runs)},
        failures=runs.failures,
        diverged=runs.diverged,
        headline=" ".join(filter(None, [headline.of_comparison(problem, runs), *unequal(runs)])),
        sections=sections,
    )


def unequal(runs: Runs) -> list[str]:
    """A sentence for each learner that did not train as the others do."""
    return [
        f"{name} is not on equal terms: it was built with {group[0].budget}. Pass "
        "**setting.arguments on to the strategy, or take these as arguments of its own, which "
        "stand in the table."
        for name, group in runs.by("learner").items()
        if group[0].budget
    ]


def tables(problem: Problem, runs: Runs) -> list[Table]:
    """What was learned and forgotten, and what it cost; each as mean and 95 % interval over seeds.

    There is a row for every learner that was asked for. Runs that diverged are counted alone.
    Errors of classifiers are shown as accuracies in percent, what they forgot in points.
    """
    by_learner = runs.by("learner")
    finished = {name: by_learner.get(name, []) for name in runs.learners}
    groups = [finite(group) for group in finished.values()]
    first = runs.learners[0]

    def of_errors(value: Callable[[Run], float]) -> list[str]:
        show = accuracy if problem.classifies else bounded
        return [show([value(run) for run in group]) for group in groups]

    def of_gaps(sign: int) -> list[str]:
        gaps = [[sign * scale * run.mean_and_worst_forgetting[0] for run in g] for g in groups]
        return [interval(values, form, form.lstrip("+")) for values in gaps]

    def means(field: str) -> list[str]:
        values = [[getattr(run, field) for run in group] for group in groups]
        # Older files know no bytes.
        return [f"{_mean(v):,.0f}" if v and None not in v else "-" for v in values]

    scale, form = (100, "+.2f") if problem.classifies else (1, "+.1e")
    measure, points = ("accuracy, %", ", points") if problem.classifies else (problem.measure, "")
    worst = [[scale * run.mean_and_worst_forgetting[1] for run in group] for group in groups]
    errors = {
        "learner": list(finished),
        "seeds": [seeds_of(group, len(runs.seeds)) for group in finished.values()],
        f"final mean {measure}": of_errors(lambda run: run.final_mean_error),
        PATHS: of_errors(_error_of_mean_path),
        "worst task": of_errors(_worst_error),
        f"forgetting, mean{points}": of_gaps(1),
        "worst": [f"{max(gaps):{form}}" if _are_numbers(gaps) else "-" for gaps in worst],
        f"backward transfer{points}": of_gaps(-1),
        f"p against {first}": [
            "" if learner == first else p_against(finished[first], group)
            for learner, group in finished.items()
        ],
    }
    costs = {
        "learner": list(finished),
        "floats per task": means("floats_per_task"),
        "raw samples": means("raw_samples"),
        "floats kept": means("floats_kept"),
        "parameters": means("n_parameters"),
        "bytes per task": means("bytes_per_task"),
        "bytes kept": means("bytes_kept"),
        "seconds": [bounded([run.seconds for run in group], ".0f") for group in groups],
        "configuration": [_configuration(group) for group in finished.values()],
    }
    name = ", ".join(filter(None, [runs[0].benchmark, runs[0].network]))
    epochs = headline.count(runs[0].epochs, problem.unit)
    seeds = headline.count(len(runs.seeds), "seed")
    what = "Accuracies" if problem.classifies else "Errors"
    about = f"{name}, {epochs} per task, {seeds}"
    return [
        Table.of_columns(f"{what} on {about}: mean and 95 % interval", errors),
        Table.of_columns(f"Costs on {about}", costs),
    ]


def csv_text(runs: Sequence[Run]) -> str:
    """One line per run, for other programs."""
    rows = [_row(run) for run in runs]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(run: Run) -> dict[str, Any]:
    mean, worst = run.mean_and_worst_forgetting
    trained_once = math.isnan(mean)
    return {
        "benchmark": run.benchmark,
        "network": run.network,
        "learner": run.learner,
        "seed": run.seed,
        "epochs": run.epochs,
        "configuration": run.key.configuration,
        "final_mean_error": "" if run.diverged else run.final_mean_error,
        "final_mean_error_of_mean_path": run.final_mean_error_of_mean_path,
        "worst_task_error": "" if run.diverged else _worst_error(run),
        "forgetting_mean": "" if trained_once else mean,
        "forgetting_worst": "" if trained_once else worst,
        "backward_transfer": "" if trained_once else -mean,
        "floats_per_task": run.floats_per_task,
        "raw_samples": run.raw_samples,
        "floats_kept": run.floats_kept,
        "bytes_per_task": run.bytes_per_task,
        "bytes_kept": run.bytes_kept,
        "n_parameters": run.n_parameters,
        "seconds": round(run.seconds, 2),
        "diverged": run.diverged,
    }


def frontier(
    problem: Problem, learners: Mapping[str, Learner], runs: Runs, looks: Mapping[str, Look]
) -> dict[str, Figure]:
    """Error against bytes kept per task, one point for each learner with a finite run.

    Against floats where older runs do not know their bytes. There may be none.
    """
    by_learner = Runs(finite(runs)).by("learner")
    if not by_learner:
        return {}
    knows_bytes = all(run.bytes_per_task is not None for run in finite(runs))
    unit = "bytes" if knows_bytes else "floats"
    figure = plot_frontier(
        _matrices(by_learner),
        kept={
            name: _mean([getattr(run, f"{unit}_per_task") for run in group])
            for name, group in by_learner.items()
        },
        unit=unit,
        measure=problem.measure,
        keeps_samples=[name for name, group in by_learner.items() if group[0].raw_samples],
        ours=[name for name in by_learner if learners[name].ours],
        colors=looks,
        title=f"{runs[0].benchmark}: final mean {problem.measure} against {unit} per task",
    )
    return {"frontier.png": figure}


def over_stream(problem: Problem, runs: Runs, looks: Mapping[str, Look]) -> Figure | None:
    """The mean accuracy after each task; None if no learner was trained on one after the other."""
    matrices = _matrices(Runs(finite(runs)).by("learner"))
    if not any(bool(group[0][:, 0].isfinite().all()) for group in matrices.values()):
        return None
    title = f"{runs[0].benchmark}: accuracy on all tasks so far"
    return plot_accuracy_over_stream(matrices, measure=problem.measure, colors=looks, title=title)


def _matrices(by_learner: Mapping[str, Sequence[Run]]) -> dict[str, list[Tensor]]:
    return {name: [run.matrix for run in group] for name, group in by_learner.items()}


def _error_of_mean_path(run: Run) -> float:
    error = run.final_mean_error_of_mean_path
    return math.nan if error is None else error


def _worst_error(run: Run) -> float:
    return float(run.matrix[-1].max())


def _configuration(group: Sequence[Run]) -> str:
    if not group:
        return "-"
    shown = ", ".join(_named_values(group[0].configuration)) or "as named"
    return f"{shown}; {group[0].budget}" if group[0].budget else shown


def _are_numbers(values: Sequence[float]) -> bool:
    return bool(values) and not any(map(math.isnan, values))


def _named_values(configuration: Mapping[str, Any]) -> Iterator[str]:
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _named_values(value)
        else:
            yield f"{key} {value}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
