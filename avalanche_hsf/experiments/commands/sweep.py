"""What a preset's loss terms and hyperparameters do: one thing changed at a time."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.figure import Figure

from avalanche_hsf.experiments.commands.comparison import check_fit
from avalanche_hsf.experiments.learners import LEARNERS
from avalanche_hsf.experiments.report import Report, Table, plot_variations
from avalanche_hsf.experiments.report.tables import interval, p_against
from avalanche_hsf.experiments.runs.doors import find_problem
from avalanche_hsf.experiments.runs.jobs import Engine, Job, make
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.training import get_preset
from avalanche_hsf.training.hyperparameters import (
    EPOCHS,
    FACTORS,
    INTEGERS,
    check_values,
    values_of,
)

LOSS_TERMS = "loss-terms"
"""The name of the paper's debugging experiments, section 3.3, among what can be varied."""

UNCHANGED = "as it is"
_WEIGHTS = {"beta": "nll", "gamma": "replay", "delta": "sep"}
_RUN = (EPOCHS, "latent_dim")  # what every run has, whatever the preset


@dataclass(frozen=True)
class Variation:
    """A preset with something changed.

    Attributes:
        label: What was changed, in words.
        varied: Values of hyperparameters, see `arguments_for`.
        epochs: Epochs per task.
    """

    label: str
    varied: Mapping[str, float]
    epochs: int


def everything(preset: str) -> dict[str, Sequence[float]]:
    """What `variations` can vary of a preset without being given values."""
    own = values_of(preset)
    terms = [LOSS_TERMS] if _WEIGHTS.keys() & own.keys() else []
    return dict.fromkeys([*terms, *(n for n in FACTORS if n in own or n in _RUN)], ())


def variations(
    preset: str, vary: Mapping[str, Sequence[float]], *, latent_dim: int, epochs: int
) -> list[Variation]:
    """The preset as it is, then each change of it.

    Args:
        preset: A name in `PRESETS`.
        vary: For `LOSS_TERMS` or a name in `FACTORS` the values to try; an empty list stands for
            multiples of the preset's own value. For `LOSS_TERMS` it must be empty.
        latent_dim: Width of the latent of all that do not vary it.
        epochs: Epochs per task of all that do not vary them.

    Raises:
        ValueError: A name is not known, `LOSS_TERMS` has values, no values are given for what the
            preset has not, or the preset has no loss terms to leave out.
    """
    own = {**values_of(preset), EPOCHS: epochs, "latent_dim": latent_dim}
    made = {UNCHANGED: Variation(UNCHANGED, {}, epochs)}
    for name, values in vary.items():
        if name == LOSS_TERMS:
            if values:
                raise ValueError(f"{LOSS_TERMS} takes no values, got {list(values)}")
            for label, varied in _loss_terms(preset, own).items():
                made[label] = Variation(label, varied, epochs)
            continue
        if name not in FACTORS:
            names = ", ".join([LOSS_TERMS, *FACTORS])
            raise ValueError(f"unknown hyperparameter {name!r}; choose from {names}")
        if not values and name not in own:
            raise ValueError(f"{preset} has no {name} of its own: give values, {name}=A,B,...")
        for value in values or [own[name] * factor for factor in FACTORS[name]]:
            value = max(round(value), 1) if name in INTEGERS else float(f"{value:.6g}")
            label = f"{name} {value:g}"
            if name == EPOCHS:
                made[label] = Variation(label, {}, int(value))
            elif value != own.get(name):
                made[label] = Variation(label, {name: value}, epochs)
    return list(made.values())


@dataclass(frozen=True)
class Sweep:
    """What is swept, checked."""

    preset: str
    variations: Sequence[Variation]
    benchmark: str
    seeds: Sequence[int]


def check(options: argparse.Namespace) -> Sweep:
    """What was asked for; raises TypeError or ValueError, before anything runs."""
    get_preset(options.preset)
    problem = find_problem(options.benchmark)
    check_fit(problem, {f"hsf-{options.preset}": LEARNERS[f"hsf-{options.preset}"]})
    vary = dict(options.vary or everything(options.preset))
    chosen = variations(options.preset, vary, latent_dim=problem.latent_dim, epochs=options.epochs)
    for variation in chosen:
        check_values(options.preset, variation.varied)
    return Sweep(options.preset, chosen, options.benchmark, options.seeds)


def report(sweep: Sweep, results: ResultsFile, engine: Engine) -> Report | None:
    """Carries it out; None if no run was finished."""
    by_label, failures = run_all(sweep, results, engine)
    if not by_label:
        return None
    drawn = {"sweep.png": figure(sweep.preset, by_label)}
    return Report("sweep", [table(sweep.preset, by_label)], (), drawn, failures=failures)


def run_all(
    sweep: Sweep, results: ResultsFile, engine: Engine
) -> tuple[dict[str, list[Run]], list[str]]:
    """Runs every variation with every seed: the runs that succeeded by label, and the failures."""
    jobs = {
        variation.label: [
            Job(
                sweep.benchmark,
                f"hsf-{sweep.preset}",
                seed,
                variation.epochs,
                {"varied": dict(variation.varied)} if variation.varied else {},
            )
            for seed in sweep.seeds
        ]
        for variation in sweep.variations
    }
    failures: list[str] = []
    finished = iter(
        make(results, [job for group in jobs.values() for job in group], engine, failures)
    )
    by_label = {
        label: [run for run in [next(finished) for _ in group] if run is not None]
        for label, group in jobs.items()
    }
    return {label: runs for label, runs in by_label.items() if runs}, failures


def table(preset: str, by_label: Mapping[str, Sequence[Run]]) -> Table:
    """Errors just learned, at the end, and forgotten: mean ± 95 % interval, and the median."""
    first = next(iter(by_label.values()))
    rows = []
    for label, runs in by_label.items():
        forgetting = [each.mean_and_worst_forgetting[0] for each in runs]
        rows.append(
            [
                label,
                interval([_just_learned(each) for each in runs], ".2g"),
                interval([each.final_mean_error for each in runs], ".2g"),
                "" if runs is first else p_against(first, runs),
                interval([each.forgetting[0] or 0.0 for each in runs]),
                interval(forgetting),
                f"{median(forgetting):+.2g}",
            ]
        )
    n_seeds = max(len(runs) for runs in by_label.values())
    return Table(
        f"{preset} on {first[0].benchmark}, {first[0].epochs} steps per task, {n_seeds} seeds: "
        "mean ± 95 % interval. just learned: mean of R[j, j]; forgetting: mean of R[last, j] - "
        "R[j, j]",
        [
            "changed",
            "just learned",
            "final mean MSE",
            "p of the final mean",
            "forgetting T0",
            "forgetting",
            "its median",
        ],
        rows,
    )


def figure(preset: str, by_label: Mapping[str, Sequence[Run]]) -> Figure:
    """Every run as a point: what it had just learned, and what was left at the end."""
    n_seeds = max(len(runs) for runs in by_label.values())
    return plot_variations(
        {
            label: (
                [_just_learned(each) for each in runs],
                [each.final_mean_error for each in runs],
            )
            for label, runs in by_label.items()
        },
        title=f"{preset}, one thing changed at a time, {n_seeds} seeds",
    )


def _loss_terms(preset: str, own: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The paper's debugging experiments and each term alone beside recon, as far as there are."""
    weights = [name for name in _WEIGHTS if name in own]
    if not weights:
        raise ValueError(f"{preset} has no weight of a loss term above 0, so no {LOSS_TERMS}")
    nothing = dict.fromkeys(weights, 0.0)
    made = {"recon alone": nothing}
    for alone in weights:
        without = {name: 0.0 for name in weights if name != alone}
        made[f"recon + {_WEIGHTS[alone]}"] = without
        if len(weights) > 2:
            made[f"without {_WEIGHTS[alone]}"] = {alone: 0.0}
    penalties = [name for name in ("gamma", "delta") if name in own]
    for factor in (2, 5, 10) if penalties else ():
        label = f"{' and '.join(_WEIGHTS[name] for name in penalties)} x {factor}"
        made[label] = {name: factor * own[name] for name in penalties}
    return made


def _just_learned(run: Run) -> float:
    diagonal = [row[j] for j, row in enumerate(run.error_matrix)]
    known = [mse for mse in diagonal if mse is not None]
    return sum(known) / len(known)
