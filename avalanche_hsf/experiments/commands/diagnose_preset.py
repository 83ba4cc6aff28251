"""Why a preset forgets: one run with everything that the analysis has to say of it."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from avalanche.logging import BaseLogger
from torch import nn

from avalanche_hsf.analysis import (
    Drift,
    GradientConflict,
    LossTerms,
    ModelRecorderPlugin,
    attribute_forgetting,
    errors_on,
    loss_on,
    sharpness,
)
from avalanche_hsf.experiments.commands.beforehand import DIAGNOSED
from avalanche_hsf.experiments.commands.comparison import check_fit
from avalanche_hsf.experiments.commands.diagnose_report import diagnose_report, name_of
from avalanche_hsf.experiments.learners import LEARNERS, Learner, Problem
from avalanche_hsf.experiments.runs.doors import find_problem
from avalanche_hsf.experiments.runs.jobs import Engine, Job, make_all
from avalanche_hsf.experiments.runs.progress import inner_bar
from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.experiments.runs.run import EVAL_MB_SIZE, run
from avalanche_hsf.models import HypernetSDEFlow, HyperNetwork
from avalanche_hsf.report import Report
from avalanche_hsf.training.hyperparameters import check_values

EPOCHS = 300
"""Per task, unless something else is said."""

N_POINTS = 30
"""Measurements per experience of what is watched over training."""


def check(options: argparse.Namespace) -> list[Job]:
    """The runs of the preset and of the paper's MLP; raises TypeError or ValueError."""
    preset, epochs = options.preset or DIAGNOSED, options.epochs or EPOCHS
    varied = check_values(preset, dict(options.set or ()))
    name = f"hsf-{preset}"
    check_fit(find_problem(options.benchmark), {name: LEARNERS[name]})
    job = partial(Job, options.benchmark, epochs=epochs, work=_diagnosed, finding="attribution")
    configuration = {"varied": varied} if varied else {}
    ours = [job(name, seed, configuration=configuration) for seed in options.seeds]
    return ours + [job("mlp-paper", seed) for seed in options.seeds]


def report(jobs: list[Job], results: ResultsFile, engine: Engine) -> Report | None:
    """Carries it out; None if no run was finished."""
    runs = make_all(results, jobs, engine)
    asked = Counter(name_of(job.learner, job.configuration) for job in jobs)
    return diagnose_report(runs, asked) if runs else None


def components_of(model: nn.Module) -> dict[str, list[str]] | None:
    """The parts of the paper's network as the field names them; None: the model's children.

    The networks of the paper's hypernetwork that write encoder and decoder are apart.
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


def _diagnosed(benchmark: Problem, learner: Learner, *, epochs: int, **arguments: Any) -> Run:
    """`run` plus its analysis in `Run.findings`, of one that did not diverge.

    "attribution" holds for each task but the last the fields of an `Attribution`; "sharpness" for
    each of them the largest eigenvalue of the Hessian right after it and after the last, with
    fixed and with averaged noise; "curves" by a metric's name the pairs of iteration and value.
    """
    recorder, log = ModelRecorderPlugin(), Curves()
    every = max(1, epochs // N_POINTS)

    def metrics(stream: Any) -> list[Any]:
        conflict = GradientConflict(stream.train_stream, every=5 * every)
        return [Drift(every=every), LossTerms(every=every), conflict]

    watch: dict[str, Any] = {"plugins": [recorder], "metrics": metrics, "logger": log}
    finished = run(benchmark, learner, epochs=epochs, **watch, **arguments)
    if finished.diverged:
        return finished
    *experiences, _ = benchmark.make(arguments["seed"]).test_stream
    late, criterion = recorder.model_after(-1), recorder.criterion
    components = components_of(late)
    findings: dict[str, Any] = {"attribution": [], "sharpness": [], "curves": log.points}
    title = f"{finished.learner}, seed {finished.seed}, why it forgot"
    with inner_bar(title, 2 * len(experiences), "step", shown=arguments["progress"]) as bar:
        for early, experience in zip(recorder.models, experiences, strict=False):
            error = errors_on(experience, criterion, mb_size=EVAL_MB_SIZE)
            attribution = attribute_forgetting(early, late, error, components=components)
            findings["attribution"].append(asdict(attribution))
            bar.update()
            findings["sharpness"].append(_sharpness_of(early, late, experience, criterion))
            bar.update()
    return replace(finished, findings=findings)


def _sharpness_of(
    early: nn.Module, late: nn.Module, experience: Any, criterion: Any
) -> dict[str, float]:
    """The sharpness of a task's loss right after it and after the last."""
    noises = [("fixed", 1)]
    if isinstance(late, HypernetSDEFlow):
        noises.append(("averaged", 4))  # over as many passes
    found = {}
    for noise, n_passes in noises:
        loss = loss_on(experience, criterion, n_passes=n_passes)
        for when, model in (("before", early), ("after", late)):
            model.requires_grad_(True)  # protections may have frozen some
            found[f"{when}, {noise} noise"] = sharpness(model, loss, tolerance=1e-2)
    return found


class Curves(BaseLogger):
    """Keeps every number that is logged, by name, with its iteration."""

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[str, list[tuple[int, float]]] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.points = state["points"]

    def log_single_metric(self, name: str, value: Any, x_plot: int) -> None:
        if isinstance(value, float) and math.isfinite(value):
            # Six digits are enough for a curve, and half the size of a results file.
            self.points.setdefault(name, []).append((x_plot, float(f"{value:.6g}")))
