"""Why a learner forgets: one run with everything that the analysis has to say of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from avalanche.logging import BaseLogger
from torch import nn

from avalanche_hsf.analysis import (
    Drift,
    GradientConflict,
    LossTerms,
    ModelRecorderPlugin,
    attribute_run,
    loss_on,
    sharpness,
)
from avalanche_hsf.experiments.report import (
    plot_curves,
    plot_shares,
)
from avalanche_hsf.experiments.report.tables import Table, interval
from avalanche_hsf.experiments.runs.jobs import Engine, Job, make
from avalanche_hsf.experiments.runs.problems import BENCHMARKS
from avalanche_hsf.experiments.runs.results import ResultsFile, Run
from avalanche_hsf.experiments.runs.run import run
from avalanche_hsf.models import HypernetSDEFlow, HyperNetwork

N_POINTS = 30
"""Measurements an experience of what is watched over training."""


def diagnose(
    results: ResultsFile,
    learners: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    benchmark: str = "synthetic",
    seeds: Sequence[int],
    epochs: int,
    engine: Engine,
) -> list[Run]:
    """Runs learners on a stream and looks into each run, or takes what the file holds.

    Args:
        results: Where finished runs are kept; a run is kept with its findings.
        learners: Names in `LEARNERS`, each with its configuration.
        benchmark: A name in `BENCHMARKS`, of a stream for autoencoders.
        seeds: At least one.
        epochs: Epochs a task, at least 1.
        engine: What makes the runs.

    Returns:
        The runs by learner and seed; `Run.findings` holds "attribution" (for each task but the
        last the fields of an `Attribution`), "sharpness" (for each task but the last the largest
        eigenvalue of the Hessian right after it and after the last, with fixed and with averaged
        noise) and "curves" (by name of a metric the pairs of iteration and value).
    """
    jobs = [
        Job(benchmark, strategy, seed, epochs, configuration, _diagnosed, has_findings=True)
        for strategy, configuration in learners
        for seed in seeds
    ]
    return [run for run in make(results, jobs, engine) if run is not None]


def components_of(model: nn.Module) -> dict[str, list[str]] | None:
    """The parts of the paper's network as its field would name them; None: the model's children.

    Of the paper's kind of hypernetwork the networks that write encoder and decoder are apart.
    """
    if not isinstance(model, HypernetSDEFlow) or not isinstance(model.hypernetwork, HyperNetwork):
        return None
    writes: dict[str, list[str]] = {}
    for k, name in enumerate(model.hypernetwork.shapes):
        block = name.split(".")[0]
        writes.setdefault(f"{block} hypernetwork", []).append(f"hypernetwork.generators.{k}")
    return {
        **writes,
        "embeddings": ["hypernetwork.task_embedding"],
        "encoder, shared": ["encoder"],
        "encoder SDE": ["encoder_sde"],
        "decoder SDE": ["decoder_sde"],
        "decoder, shared": ["decoder"],
        "flow": ["flow"],
    }


def tables(runs: Sequence[Run]) -> list[Table]:
    """Who forgot, how sharp, and where gradients conflict; mean ± 95 % interval over seeds."""
    made = []
    for name, own in _by_learner(runs).items():
        made += [_attribution_table(name, own), _sharpness_table(name, own)]
    return made


def write_tables(results: ResultsFile, runs: Sequence[Run]) -> list[str]:
    """Writes the tables of each learner into the results folder; returns their paths."""
    paths = []
    for name, own in _by_learner(runs).items():
        path = results.folder / f"{_file_name(name)}-findings.md"
        path.write_text("\n\n".join(table.markdown() for table in tables(own)) + "\n")
        paths.append(str(path))
    return paths


def shares(runs: Sequence[Run], kind: str = "shapley") -> dict[str, list[float]]:
    """For each component the mean over runs of what it has of each task's forgetting."""
    first = runs[0].findings["attribution"]
    return {
        component: [
            sum(each.findings["attribution"][task][kind][component] for each in runs) / len(runs)
            for task in range(len(first))
        ]
        for component in first[0][kind]
    }


def curves(runs: Sequence[Run], metric: str) -> dict[str, list[tuple[float, float]]]:
    """The mean over runs of what was watched, by the last part of its name, over iterations."""
    return _mean_curves(
        ("/".join(name.split("/")[4:]), points)
        for each in runs
        for name, points in each.findings["curves"].items()
        if name.split("/")[0] == metric
    )


def write_figures(results: ResultsFile, runs: Sequence[Run]) -> list[str]:
    """Draws the figures of each learner into the results folder; returns their paths."""
    paths = []
    for name, own in _by_learner(runs).items():
        steps = own[0].epochs  # one full batch an epoch
        of = f"{name}, " + (f"mean of {len(own)} seeds" if own[1:] else f"seed {own[0].seed}")
        latents = curves(own, "Latents_Epoch")
        nll = {"beta * nll": curves(own, "LossTerm_Epoch").get("nll", [])}
        figures = {
            "shares": plot_shares(shares(own), title=f"Forgetting by component: {of}"),
            "drift": plot_curves(
                {
                    "parameters": curves(own, "Drift_Epoch"),
                    "weights written for old tasks": curves(own, "WrittenDrift_Epoch"),
                },
                steps=steps,
                title=f"Drift since the task began: {of}",
            ),
            "loss-terms": plot_curves(
                {
                    "term": curves(own, "LossTerm_Epoch"),
                    "norm of its gradient": curves(own, "LossTermGradient_Epoch"),
                },
                steps=steps,
                title=f"Terms of the loss: {of}",
            ),
            "conflict": plot_curves(
                {"cosine of gradients, mean over old tasks": _over_tasks(own)},
                steps=steps,
                title=f"Gradient of the current task against old ones: {of}",
            ),
        }
        if latents and nll["beta * nll"]:
            figures["collapse"] = plot_curves(
                {"latents": latents, "likelihood term": nll},
                steps=steps,
                title=f"What the likelihood term does to the latents: {of}",
            )
        for kind, figure in figures.items():
            path = results.folder / f"{_file_name(name)}-{kind}.png"
            figure.savefig(path, dpi=130)
            paths.append(str(path))
    return paths


def _by_learner(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs by their learner's name and what of its hyperparameters was set otherwise."""
    by_learner: dict[str, list[Run]] = {}
    for each in runs:
        varied = each.configuration.get("varied", {})
        name = ", ".join([each.strategy, *(f"{k} {value:g}" for k, value in varied.items())])
        by_learner.setdefault(name, []).append(each)
    return by_learner


def _file_name(learner: str) -> str:
    return learner.replace(", ", "-").replace(" ", "-")


def _over_tasks(runs: Sequence[Run]) -> dict[str, list[tuple[float, float]]]:
    of_tasks = curves(runs, "GradientConflict_Epoch")
    return _mean_curves((entry.split("/", 1)[1], points) for entry, points in of_tasks.items())


def _mean_curves(
    named: Iterable[tuple[str, Sequence[tuple[float, float]]]],
) -> dict[str, list[tuple[float, float]]]:
    """For each name the mean over its curves, at every iteration that one of them has."""
    merged: dict[str, dict[float, list[float]]] = {}
    for name, points in named:
        own = merged.setdefault(name, {})
        for x, value in points:
            own.setdefault(x, []).append(value)
    return {
        name: [(x, sum(values) / len(values)) for x, values in sorted(points.items())]
        for name, points in merged.items()
    }


def _diagnosed(benchmark: str, strategy: str, *, epochs: int, **arguments: Any) -> Run:
    """`run`, looked into."""
    recorder, log = ModelRecorderPlugin(), _Curves()
    every = max(1, epochs // N_POINTS)

    def metrics(stream: Any) -> list[Any]:
        conflict = GradientConflict(stream.train_stream, every=5 * every)
        return [Drift(every=every), LossTerms(every=every), conflict]

    made = run(
        benchmark,
        strategy,
        epochs=epochs,
        plugins=[recorder],
        metrics=metrics,
        logger=log,
        **arguments,
    )
    experiences = list(BENCHMARKS[benchmark].make(arguments["seed"]).test_stream)
    components = components_of(recorder.model_after(0))
    attribution = attribute_run(recorder, experiences, components=components)
    sharp = []
    for task, experience in enumerate(experiences[:-1]):
        stochastic = isinstance(recorder.model_after(task), HypernetSDEFlow)
        of_task = {}
        for noise, n_passes in (("fixed", 1), ("averaged", 4))[: 1 + stochastic]:
            loss = loss_on(experience, n_passes=n_passes)
            for when, model in (
                ("before", recorder.model_after(task)),
                ("after", recorder.model_after(-1)),
            ):
                model.requires_grad_(True)  # protections may have frozen some
                of_task[f"{when}, {noise} noise"] = sharpness(model, loss, tolerance=1e-2)
        sharp.append(of_task)
    findings = {
        "attribution": [asdict(each) for each in attribution],
        "sharpness": sharp,
        "curves": log.points,
    }
    return replace(made, findings=findings)


class _Curves(BaseLogger):
    """Keeps every number that is logged, by name, with its iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[str, list[tuple[int, float]]] = {}

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        if isinstance(value, float) and math.isfinite(value):
            # Six digits are enough for a curve, and half the size of a results file.
            self.points.setdefault(name, []).append((x_plot, float(f"{value:.6g}")))


def _attribution_table(name: str, runs: Sequence[Run]) -> Table:
    n_tasks = len(runs[0].findings["attribution"])

    def row(title: str, values: Sequence[Sequence[float]]) -> list[str]:
        return [title, *(interval(of_task) for of_task in values)]

    forgetting = [
        [
            each.findings["attribution"][task]["after"]
            - each.findings["attribution"][task]["before"]
            for each in runs
        ]
        for task in range(n_tasks)
    ]
    rows = [row("forgetting", forgetting)]
    for kind, title in (("shapley", "share"), ("alone", "alone"), ("recovered", "put back")):
        for component in runs[0].findings["attribution"][0][kind]:
            of_tasks = [
                [each.findings["attribution"][task][kind][component] for each in runs]
                for task in range(n_tasks)
            ]
            rows.append(row(f"{title}: {component}", of_tasks))
    return Table(
        f"Which part of {name} on {runs[0].benchmark} forgot, {len(runs)} seeds. share: Shapley "
        "value, these sum to the forgetting; alone: caused if it alone moves on; put back: "
        "recovered if it alone is",
        ["", *(f"T{task}" for task in range(n_tasks))],
        rows,
    )


def _sharpness_table(name: str, runs: Sequence[Run]) -> Table:
    n_tasks = len(runs[0].findings["sharpness"])
    kinds: Mapping[str, float] = runs[0].findings["sharpness"][0]
    return Table(
        f"Largest eigenvalue of the Hessian, {name} on {runs[0].benchmark}, {len(runs)} seeds: "
        "right after the task, and after the last one",
        ["", *(f"T{task}" for task in range(n_tasks))],
        [
            [
                kind,
                *(
                    interval([each.findings["sharpness"][task][kind] for each in runs], ".2g")
                    for task in range(n_tasks)
                ),
            ]
            for kind in kinds
        ],
    )
