"""What a preset's loss terms and hyperparameters do: one thing changed at a time."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from statistics import median

from matplotlib.figure import Figure

from avalanche_hsf.experiments.commands import headline
from avalanche_hsf.experiments.commands.comparison import check_fit
from avalanche_hsf.experiments.commands.variations import everything, variations
from avalanche_hsf.experiments.learners import LEARNERS
from avalanche_hsf.experiments.runs.doors import find_problem
from avalanche_hsf.experiments.runs.groups import finite, p_against, seeds_of
from avalanche_hsf.experiments.runs.jobs import Engine, Job, make
from avalanche_hsf.experiments.runs.record import Run, Runs
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.report import Report, Table, bounded, interval, plot_variations
from avalanche_hsf.training import get_preset
from avalanche_hsf.training.hyperparameters import check_values, values_of

NOTES = (
    "just learned: mean of R[j, j] over tasks j; forgetting: mean of R[last, j] - R[j, j], where "
    "positive is worse.",
    "p: two-sided paired t-test over seeds of the logarithms of the final mean errors, against the "
    "preset as it is; not corrected for the number of rows.",
)
"""What the columns of the table are."""


def check(options: argparse.Namespace) -> list[tuple[str, Job]]:
    """Every run with the label of its variation; raises TypeError or ValueError."""
    get_preset(options.preset)
    problem, learner = find_problem(options.benchmark), f"hsf-{options.preset}"
    check_fit(problem, {learner: LEARNERS[learner]})
    values = values_of(options.preset)
    vary = dict(options.vary or everything(values))
    given = {"latent_dim": problem.latent_dim, "epochs": options.epochs}
    labelled = []
    for variation in variations(options.preset, values, vary, **given):
        check_values(options.preset, variation.varied)
        configuration = {"varied": dict(variation.varied)} if variation.varied else {}
        labelled += [
            (
                variation.label,
                Job(options.benchmark, learner, seed, variation.epochs, configuration),
            )
            for seed in options.seeds
        ]
    return labelled


def report(
    labelled: Sequence[tuple[str, Job]], results: ResultsFile, engine: Engine
) -> Report | None:
    """Carries it out; None if no run was finished."""
    failures: list[str] = []
    made = make(results, [job for _, job in labelled], engine, failures)
    runs = Runs([run for run in made if run is not None], failures)
    if not runs:
        return None
    by_label: dict[str, list[Run]] = {label: [] for label, _ in labelled}
    for (label, _), run in zip(labelled, made, strict=True):
        by_label[label] += [] if run is None else [run]
    preset, n_seeds = labelled[0][1].learner.removeprefix("hsf-"), len(labelled) // len(by_label)
    return Report(
        "sweep",
        [table(preset, by_label, n_seeds)],
        notes=NOTES,
        figures=figures(preset, by_label, n_seeds),
        failures=runs.failures,
        diverged=runs.diverged,
        headline=headline.of_sweep(preset, by_label, n_seeds),
    )


def table(preset: str, by_label: Mapping[str, Sequence[Run]], n_seeds: int) -> Table:
    """Errors just learned, at the end, and forgotten: mean, 95 % interval, and the median.

    Args:
        preset: What was changed.
        by_label: Its finished runs by what was changed; the first is compared with.
        n_seeds: That each change was to be run with.
    """
    first = next(iter(by_label.values()))
    rows = []
    for label, finished in by_label.items():
        runs = finite(finished)
        forgetting = [run.mean_and_worst_forgetting[0] for run in runs]
        rows.append(
            [
                label,
                seeds_of(finished, n_seeds),
                bounded([_just_learned(run) for run in runs], ".2g"),
                bounded([run.final_mean_error for run in runs], ".2g"),
                "" if finished is first else p_against(first, finished),
                interval([run.forgetting[0] or 0.0 for run in runs]),
                interval(forgetting),
                f"{median(forgetting):+.2g}" if forgetting else "-",
            ]
        )
    headers = ["changed", "seeds", "just learned", "final mean MSE", "p of the final mean"]
    some = next(run for runs in by_label.values() for run in runs)
    return Table(
        f"Changes of {preset} on {some.benchmark}, {headline.count(some.epochs, 'step')} per task, "
        f"{headline.count(n_seeds, 'seed')}: mean and 95 % interval",
        [*headers, "forgetting T0", "forgetting", "its median"],
        rows,
    )


def figures(preset: str, by_label: Mapping[str, Sequence[Run]], n_seeds: int) -> dict[str, Figure]:
    """Every finite run as a point: what it had just learned, and what was left; if there is one."""
    matrices = {label: [run.matrix for run in finite(runs)] for label, runs in by_label.items()}
    if not any(matrices.values()):
        return {}
    title = (
        f"hsf-{preset}, one thing changed at a time: just learned and at the end, "
        f"{headline.count(n_seeds, 'seed')}"
    )
    return {"sweep.png": plot_variations(matrices, title=title)}


def _just_learned(run: Run) -> float:
    errors = [row[j] for j, row in enumerate(run.error_matrix)]
    measured = [error for error in errors if error is not None]
    return sum(measured) / len(measured)
