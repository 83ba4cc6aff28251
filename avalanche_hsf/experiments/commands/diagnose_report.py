"""What a diagnosis has to show: what forgot, how sharp, and the curves of what was watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from avalanche_hsf.analysis import Attribution
from avalanche_hsf.experiments.commands.headline import count
from avalanche_hsf.experiments.runs.groups import finite, seeds_of
from avalanche_hsf.experiments.runs.record import Run, Runs
from avalanche_hsf.forensics import TaskFindings, Verdict, give_verdict
from avalanche_hsf.forensics.pooled import pooled_attribution
from avalanche_hsf.forensics.verdict import headline_of
from avalanche_hsf.report import (
    Report,
    Section,
    Table,
    interval,
    plot_curves,
    plot_interactions,
    plot_shares,
)

HOW_TO_READ = (
    "Share: Shapley value of a part, in units of the error; they sum to the forgetting. Alone: "
    "caused if the part alone moves on. Put back: recovered if it alone is put back. Before and "
    "after: right after the task, and after the last one."
)

Curves = dict[str, list[tuple[float, float]]]


def diagnose_report(runs: Runs, asked: Mapping[str, int]) -> Report:
    """All tables, and for each learner its tables and figures in files of their own.

    Args:
        runs: The finished ones.
        asked: How many seeds were asked for, by `name_of` a learner.
    """
    groups: dict[str, list[Run]] = {name: [] for name in asked}
    for run in runs:
        groups[name_of(run.learner, run.configuration)].append(run)
    counts = [[name, seeds_of(groups[name], n)] for name, n in asked.items()]
    sections = [Section(tables=[Table("Seeds that were diagnosed", ["learner", "seeds"], counts)])]
    files: dict[str, str] = {}
    headline = ""
    for name, finished in groups.items():
        if not (group := finite(finished)):
            continue
        stem = name.replace(", ", "-").replace(" ", "-")
        verdicts = _verdicts(group)
        findings = [_attribution_table(name, group), _sharpness_table(name, group)]
        drawn = {f"{stem}-{kind}.png": figure for kind, figure in figures(name, group).items()}
        said = " ".join(verdict.sentence for _, verdict in verdicts)
        text = f"{said} {HOW_TO_READ}"
        sections.append(Section(name, text, tables=findings, figures=drawn))
        headline = headline or _headline(name, group, verdicts)
        texts = [text, *(table.markdown() for table in findings)]
        files[f"{stem}-findings.md"] = "\n\n".join(texts) + "\n"
    return Report(
        "diagnosis",
        files=files,
        failures=runs.failures,
        diverged=runs.diverged,
        headline=headline,
        sections=sections,
    )


def name_of(learner: str, configuration: Mapping[str, Any]) -> str:
    """A learner with the hyperparameters that were set."""
    varied = configuration.get("varied", {})
    return ", ".join([learner, *(f"{name} {value:g}" for name, value in varied.items())])


def shares(runs: Sequence[Run]) -> dict[str, list[list[float]]]:
    """By component, for each run its Shapley value for each task's forgetting."""
    found = [run.findings["attribution"] for run in runs]
    return {
        component: [[task["shapley"][component] for task in tasks] for tasks in found]
        for component in found[0][0]["shapley"]
    }


def interactions(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """By task the interactions of components in each run; empty if some run or all have none."""
    tasks = _by_task(runs, "attribution")
    found = [run.get("interactions") for task in tasks for run in task]
    if not all(found) or not any(pairs for run in found for pairs in run.values()):
        return {}
    return {f"T{j}": [run["interactions"] for run in task] for j, task in enumerate(tasks)}


def curves(runs: Sequence[Run], metric: str) -> Curves:
    """The mean over runs of what was watched, by the last part of its name, over iterations."""
    return _mean_curves(
        ("/".join(name.split("/")[4:]), points)
        for run in runs
        for name, points in run.findings["curves"].items()
        if name.split("/")[0] == metric
    )


def figures(name: str, runs: Sequence[Run]) -> dict[str, Figure]:
    """The figures of one learner, by their kind."""
    about = f"{name}, {f'mean of {len(runs)} seeds' if runs[1:] else f'seed {runs[0].seed}'}"
    spread = about.replace("mean of", "mean ± 95 % interval of")
    plot = partial(plot_curves, steps=runs[0].epochs)  # one full batch an epoch
    terms, latents = curves(runs, "LossTerm_Epoch"), curves(runs, "Latents_Epoch")
    drift = {
        "relative drift of parameters": curves(runs, "Drift_Epoch"),
        "relative drift of written weights": curves(runs, "WrittenDrift_Epoch"),
    }
    losses = {"loss term": terms, "norm of its gradient": curves(runs, "LossTermGradient_Epoch")}
    conflict = {"cosine, mean over old tasks": _over_tasks(runs)}
    drawn = {
        "shares": plot_shares(shares(runs), title=f"Forgetting by component: {spread}"),
    }
    watched = {
        "drift": (drift, "Drift since the task began"),
        "loss-terms": (losses, "Terms of the loss"),
        "conflict": (conflict, "Gradient of the current task against old ones"),
    }
    for kind, (panels, title) in watched.items():
        if panels := {label: found for label, found in panels.items() if any(found.values())}:
            drawn[kind] = plot(panels, title=f"{title}: {about}")
    if pairs := interactions(runs):
        pairs_title = f"Interactions of components in forgetting: {about}"
        drawn["interactions"] = plot_interactions(pairs, title=pairs_title)
    if latents and terms.get("nll"):
        drawn["collapse"] = plot(
            {"latents": latents, "likelihood term": {"beta * nll": terms["nll"]}},
            title=f"What the likelihood term does to the latents: {about}",
        )
    return drawn


def _verdicts(runs: Sequence[Run]) -> list[tuple[TaskFindings, Verdict]]:
    """What is to be said of each task, by all runs together."""
    over = "seeds" if len(runs) > 1 else "samples"
    findings = []
    for j, found in enumerate(_by_task(runs, "attribution")):
        attribution = pooled_attribution([Attribution(**fields) for fields in found])
        kinds = dict.fromkeys(attribution.shapley, "layer")
        findings.append(TaskFindings(f"task {j}", attribution, kinds, over=over))
    return [(task, give_verdict(task)) for task in findings]


def _headline(
    name: str, runs: Sequence[Run], verdicts: Sequence[tuple[TaskFindings, Verdict]]
) -> str:
    of = f"{name} on {runs[0].benchmark}, {count(len(runs), 'seed')}"
    return f"{of}: {headline_of(verdicts)}"


def _by_task(runs: Sequence[Run], finding: str) -> list[tuple[Any, ...]]:
    """For each task its entry in a finding, of every run."""
    return list(zip(*(run.findings[finding] for run in runs), strict=True))


def _over_tasks(runs: Sequence[Run]) -> Curves:
    tasks = curves(runs, "GradientConflict_Epoch")
    return _mean_curves((name.split("/", 1)[1], points) for name, points in tasks.items())


def _mean_curves(named: Iterable[tuple[str, Sequence[tuple[float, float]]]]) -> Curves:
    """By name the mean over its curves, at every iteration that one of them has."""
    merged: dict[str, dict[float, list[float]]] = {}
    for name, points in named:
        values = merged.setdefault(name, {})
        for x, value in points:
            values.setdefault(x, []).append(value)
    return {
        name: [(x, sum(values) / len(values)) for x, values in sorted(points.items())]
        for name, points in merged.items()
    }


def _attribution_table(name: str, runs: Sequence[Run]) -> Table:
    tasks = _by_task(runs, "attribution")
    rows = {"forgetting": [[run["after"] - run["before"] for run in task] for task in tasks]}
    for kind, title in (("shapley", "share"), ("alone", "alone"), ("recovered", "put back")):
        for component in tasks[0][0][kind]:
            values = [[run[kind][component] for run in task] for task in tasks]
            rows[f"{title}: {component}"] = values
    seeds = count(len(runs), "seed")
    title = f"Which part of {name} on {runs[0].benchmark} forgot, {seeds}"
    return _task_table(title, "error", rows)


def _sharpness_table(name: str, runs: Sequence[Run]) -> Table:
    tasks = _by_task(runs, "sharpness")
    rows = {kind: [[run[kind] for run in task] for task in tasks] for kind in tasks[0][0]}
    seeds = count(len(runs), "seed")
    title = f"Largest eigenvalue of the Hessian, {name} on {runs[0].benchmark}, {seeds}"
    return _task_table(title, "state", rows, ".2g")


def _task_table(
    title: str, header: str, rows: Mapping[str, Sequence[Sequence[float]]], *form: str
) -> Table:
    """A row of values by task, each given for every seed."""
    cells = [[label, *(interval(task, *form) for task in tasks)] for label, tasks in rows.items()]
    return Table(title, [header, *(f"T{task}" for task in range(len(cells[0]) - 1))], cells)
