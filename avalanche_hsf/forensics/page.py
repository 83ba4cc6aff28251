"""The page that says why a model forgot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from avalanche_hsf.analysis import Attribution
from avalanche_hsf.forensics.findings import TaskFindings
from avalanche_hsf.forensics.over_training import over_training
from avalanche_hsf.forensics.run import RunFindings
from avalanche_hsf.forensics.verdict import (
    WIDTH,
    Verdict,
    capital,
    error_of_share,
    give_verdict,
    headline_of,
)
from avalanche_hsf.report import Report, Section, Table, plot_shares, significant

OVER_SAMPLES = (
    "± is the half width of a 95 % interval over the samples of the task, not over seeds: this is "
    "one run."
)
BLAMED = (
    "Components are blamed, not functions: units that swap places put blame on the layers around "
    "them."
)


def forensics_report(
    findings: RunFindings, *, about: Mapping[str, str] | None = None, name: str = "forgetting"
) -> Report:
    """A report of what was found out about a run, in the order in which one asks.

    Args:
        findings: Of `examine_run`, or of two states in a run of one task.
        about: How it was made, see `avalanche_hsf.report.circumstances`.
        name: Stem of its files.

    Example:
        >>> forensics_report(RunFindings([])).headline
        'One task was learned: there was nothing to forget.'
    """
    verdicts = [(task, give_verdict(task)) for task in findings.tasks]
    said = _verdicts(verdicts)
    sections = [
        *said,
        _forgotten(findings),
        _components(findings),
        _features(findings),
        _layers(findings),
        _states(findings),
        over_training(findings),
    ]
    return Report(
        name,
        notes=[_over(findings), *_samples(findings), BLAMED, *findings.notes, *_unknown(findings)],
        headline=_headline(findings, verdicts),
        sections=[part for part in sections if part.tables or part.figures or part in said],
        about=about or {},
    )


def _headline(findings: RunFindings, verdicts: Sequence[tuple[TaskFindings, Verdict]]) -> str:
    if not verdicts and len(findings.losses) > 1:
        return "No task could be examined, see the notes."
    return headline_of(verdicts)


def _over(findings: RunFindings) -> str:
    if findings.n_runs == 1:
        return OVER_SAMPLES
    return (
        f"Means of {findings.n_runs} seeds; ± is the half width of a 95 % interval over them, by "
        "Student's t."
    )


def _samples(findings: RunFindings) -> list[str]:
    counts = [f"{task.attribution.n_samples} of {task.task}" for task in findings.tasks]
    return [f"Samples: {', '.join(counts)}."] if counts else []


def _verdicts(verdicts: Sequence[tuple[TaskFindings, Verdict]]) -> list[Section]:
    """What was found of each task; of a single one the headline says it."""
    if len(verdicts) == 1:
        return [Section("What to try", f"{capital(v.cure)}.") for _, v in verdicts if v.cure]
    return [
        Section(
            capital(task.task),
            " ".join([verdict.sentence, verdict.cure and f"Try: {verdict.cure}."]),
        )
        for task, verdict in verdicts
    ]


def _forgotten(findings: RunFindings) -> Section:
    tables = []
    if findings.accuracies:
        tables.append(_matrix("Accuracy, %", findings.accuracies, ".1f"))
    if findings.losses:
        tables.append(_matrix("Loss", findings.losses, "#.3g"))
    if not tables:
        rows = [
            [
                task.task,
                significant(task.attribution.before),
                significant(task.attribution.after),
                _plus_minus(task.attribution.forgetting, task.attribution.forgetting_error),
                *(["-", "-"] if task.accuracy is None else [f"{a:.1f}" for a in task.accuracy]),
            ]
            for task in findings.tasks
        ]
        headers = ["task", "loss before", "after", "forgotten", "accuracy before, %", "after, %"]
        tables.append(Table("Loss and accuracy", headers, rows))
    text = "Rows: after a task was learned; -: the model could not do the task yet."
    text = text if findings.losses else ""
    return Section("How much was forgotten", text, tables)


def _matrix(title: str, matrix: Sequence[Sequence[float]], form: str) -> Table:
    n = len(matrix)
    headers = ["after", *(f"on task {j}" for j in range(n))]
    rows = [[f"task {i}", *(significant(value, form) for value in matrix[i])] for i in range(n)]
    return Table(title, headers, rows)


def _components(findings: RunFindings) -> Section:
    if not findings.tasks:
        return Section()
    tasks = findings.tasks
    names = list(dict.fromkeys(name for task in tasks for name in task.attribution.shapley))
    rows = [[name, *(_share(task.attribution, name) for task in tasks)] for name in names]
    total = [_plus_minus(t.attribution.forgetting, t.attribution.forgetting_error) for t in tasks]
    shares = Table(
        "Shapley share in the forgetting, in units of the loss",
        ["component", *(task.task for task in tasks)],
        [*rows, ["all", *total]],
    )
    worst = max(tasks, key=lambda task: task.attribution.forgetting)
    alone = Table(
        f"{capital(worst.task)}: if a component alone had moved, and if it alone is put back",
        ["component", "share, %", "added alone", "won back"],
        [_in_detail(worst.attribution, name) for name in worst.attribution.shapley],
    )
    values = {name: [[t.attribution.shapley.get(name, 0.0) for t in tasks]] for name in names}
    figures: dict[str, Figure] = {"shares.png": plot_shares(values, measure="loss")}
    return Section(
        "Which component",
        "The share of a component is what it adds to the loss as it moves on, the mean over all "
        "orders in which components may do so. It may be above 100 %, or negative, where one takes "
        "back what others add.",
        [shares, alone, *_pairs(worst), *_written(tasks)],
        figures,
    )


def _written(tasks: Sequence[TaskFindings]) -> list[Table]:
    """The layers, where a hypernetwork writes them."""
    found = {task.task: task.layers for task in tasks if task.layers is not None}
    layers = dict.fromkeys(name for attribution in found.values() for name in attribution.shapley)
    rows = [[layer, *(_share(a, layer) for a in found.values())] for layer in layers]
    title = "Shapley share of each layer of the network that is written for the task"
    return [Table(title, ["layer", *found], rows)] if rows else []


def _share(of: Attribution, name: str) -> str:
    return _plus_minus(of.shapley[name], of.shapley_error[name]) if name in of.shapley else "-"


def _in_detail(attribution: Attribution, name: str) -> list[str]:
    share, error = attribution.shares[name], error_of_share(attribution, name)
    return [
        name,
        _plus_minus(100 * share, 100 * error, ".0f"),
        significant(attribution.alone[name], "+#.3g"),
        significant(attribution.recovered[name], "+#.3g"),
    ]


def _pairs(task: TaskFindings) -> list[Table]:
    """The strongest interactions."""
    interactions = task.attribution.interactions
    pairs = sorted(
        ((abs(value), c, d, value) for c, row in interactions.items() for d, value in row.items()),
        reverse=True,
    )
    rows = [
        [
            f"{c} and {d}",
            significant(value, "+#.3g"),
            _together(task.attribution, c, d, value),
        ]
        for _, c, d, value in pairs
        if c < d and value
    ]
    title = f"{capital(task.task)}: what two components do together beyond what each does"
    return [Table(title, ["pair", "interaction", "together"], rows[:10])] if rows else []


def _together(attribution: Attribution, c: str, d: str, interaction: float) -> str:
    """What a pair does that each alone does not."""
    if interaction > 0:
        return "it takes both"
    largest = max(attribution.alone[c], attribution.alone[d])
    undone = attribution.pairs.get(c, {}).get(d, math.inf) < 0.9 * largest
    return "one undoes the other" if undone else "either is enough"


def _features(findings: RunFindings) -> Section:
    rows = [
        [
            task.task,
            *(f"{value:.1f}" for value in (*task.probe, task.chance)),
            f"{task.probe[0] - task.probe[1]:+.1f}",
            *(["-"] if task.accuracy is None else [f"{task.accuracy[0] - task.accuracy[1]:+.1f}"]),
            significant(task.feature_change, ".2f"),
        ]
        for task in findings.tasks
        if task.probe is not None
    ]
    headers = ["task", "probe before, %", "after, %", "chance, %"]
    headers += ["lost", "the model lost", "1 - CKA"]
    table = Table("A new linear head on the features, trained on the task's samples", headers, rows)
    return Section(
        "Head or features",
        "If the probe keeps its accuracy while the model loses its own, the features are intact "
        "and the head no longer fits them (Davari et al. 2022). 1 - CKA is 0 for features that "
        "were only turned, shifted or scaled.",
        [table] if rows else [],
    )


def _layers(findings: RunFindings) -> Section:
    labels = {name: task.labels.get(name, name) for task in findings.tasks for name in task.changes}
    rows = [
        [label, *(significant(task.changes.get(name, math.nan), ".2f") for task in findings.tasks)]
        for name, label in labels.items()
    ]
    headers = ["layer", *(task.task for task in findings.tasks)]
    table = Table("1 - CKA of each layer's output, before and after", headers, rows)
    return Section(
        "Which layers changed their representation",
        "In the order in which they run; 0: the same but for rotation and scale; -: not known, as "
        "where an output is the same for every sample.",
        [table] if rows else [],
    )


def _states(findings: RunFindings) -> Section:
    rows = [
        [
            task.task,
            significant(task.barrier),
            *(["-", "-"] if task.sharpness is None else [significant(s) for s in task.sharpness]),
        ]
        for task in findings.tasks
    ]
    headers = ["task", "barrier", "sharpness before", "after"]
    tables = [Table("Barrier and sharpness of the task's loss", headers, rows)] if rows else []
    if findings.conflict:
        cosines = [[name, f"{cosine:+.2f}"] for name, cosine in findings.conflict.items()]
        title = "Cosine of the gradients of a new and an old task, where the new one begins"
        tables.append(Table(title, ["component", "cosine"], cosines))
    return Section(
        "Where the states lie",
        "Barrier: how far the loss on the way from one state to the other rises above the straight "
        "line between its two ends; 0: it only climbs, without a ridge. Sharpness: the largest "
        "eigenvalue of the Hessian. A negative cosine: a step for the new task harms the old one; "
        "it is a mean over all old tasks, those that are lost by then included.",
        tables,
    )


def _unknown(findings: RunFindings) -> list[str]:
    return [f"{capital(task.task)}: {reason}" for task in findings.tasks for reason in task.unknown]


def _plus_minus(value: float, error: float, form: str = "+#.3g") -> str:
    """A value with its 95 % interval, of its standard error."""
    width = "" if math.isnan(error) else f" ± {significant(WIDTH * error, '#.2g')}"
    return significant(value, form) + width
