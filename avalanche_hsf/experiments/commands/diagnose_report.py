"""What a diagnosis has to show: who forgot, how sharp, and the curves of what was watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from avalanche_hsf.experiments.report import Report, Table, plot_curves, plot_shares
from avalanche_hsf.experiments.report.tables import interval
from avalanche_hsf.experiments.runs.record import Run, Runs


def diagnose_report(runs: Runs) -> Report:
    """All tables, and for run learner its tables and figures in files of their own."""
    files: dict[str, str] = {}
    drawn: dict[str, Figure] = {}
    for name, group in by_learner(runs).items():
        stem = name.replace(", ", "-").replace(" ", "-")
        findings = "\n\n".join(table.markdown() for table in tables(group))
        files[f"{stem}-findings.md"] = findings + "\n"
        drawn |= {f"{stem}-{kind}.png": figure for kind, figure in figures(name, group).items()}
    return Report("diagnosis", tables(runs), (), drawn, files, runs.failures)


def tables(runs: Sequence[Run]) -> list[Table]:
    """Who forgot, how sharp, and where gradients conflict; mean ± 95 % interval over seeds."""
    return [
        table(name, group)
        for name, group in by_learner(runs).items()
        for table in (_attribution_table, _sharpness_table)
    ]


def shares(runs: Sequence[Run], kind: str = "shapley") -> dict[str, list[float]]:
    """For run component the mean over runs of what it has of run task's forgetting."""
    first = runs[0].findings["attribution"]
    return {
        component: [
            sum(run.findings["attribution"][task][kind][component] for run in runs) / len(runs)
            for task in range(len(first))
        ]
        for component in first[0][kind]
    }


def curves(runs: Sequence[Run], metric: str) -> dict[str, list[tuple[float, float]]]:
    """The mean over runs of what was watched, by the last part of its name, over iterations."""
    return _mean_curves(
        ("/".join(name.split("/")[4:]), points)
        for run in runs
        for name, points in run.findings["curves"].items()
        if name.split("/")[0] == metric
    )


def figures(name: str, runs: Sequence[Run]) -> dict[str, Figure]:
    """The figures of one learner, by their kind."""
    steps = runs[0].epochs  # one full batch an epoch
    seeds = f"mean of {len(runs)} seeds" if runs[1:] else f"seed {runs[0].seed}"
    about = f"{name}, {seeds}"
    latents = curves(runs, "Latents_Epoch")
    nll = {"beta * nll": curves(runs, "LossTerm_Epoch").get("nll", [])}
    drawn = {
        "shares": plot_shares(shares(runs), title=f"Forgetting by component: {about}"),
        "drift": plot_curves(
            {
                "parameters": curves(runs, "Drift_Epoch"),
                "weights written for old tasks": curves(runs, "WrittenDrift_Epoch"),
            },
            steps=steps,
            title=f"Drift since the task began: {about}",
        ),
        "loss-terms": plot_curves(
            {
                "term": curves(runs, "LossTerm_Epoch"),
                "norm of its gradient": curves(runs, "LossTermGradient_Epoch"),
            },
            steps=steps,
            title=f"Terms of the loss: {about}",
        ),
        "conflict": plot_curves(
            {"cosine of gradients, mean over old tasks": _over_tasks(runs)},
            steps=steps,
            title=f"Gradient of the current task against old ones: {about}",
        ),
    }
    if latents and nll["beta * nll"]:
        drawn["collapse"] = plot_curves(
            {"latents": latents, "likelihood term": nll},
            steps=steps,
            title=f"What the likelihood term does to the latents: {about}",
        )
    return drawn


def by_learner(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs by their learner's name and what of its hyperparameters was set otherwise."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        varied = run.configuration.get("varied", {})
        name = ", ".join([run.learner, *(f"{k} {value:g}" for k, value in varied.items())])
        groups.setdefault(name, []).append(run)
    return groups


def _over_tasks(runs: Sequence[Run]) -> dict[str, list[tuple[float, float]]]:
    of_tasks = curves(runs, "GradientConflict_Epoch")
    return _mean_curves((entry.split("/", 1)[1], points) for entry, points in of_tasks.items())


def _mean_curves(
    named: Iterable[tuple[str, Sequence[tuple[float, float]]]],
) -> dict[str, list[tuple[float, float]]]:
    """For run name the mean over its curves, at every iteration that one of them has."""
    merged: dict[str, dict[float, list[float]]] = {}
    for name, points in named:
        own = merged.setdefault(name, {})
        for x, value in points:
            own.setdefault(x, []).append(value)
    return {
        name: [(x, sum(values) / len(values)) for x, values in sorted(points.items())]
        for name, points in merged.items()
    }


def _attribution_table(name: str, runs: Sequence[Run]) -> Table:
    n_tasks = len(runs[0].findings["attribution"])

    def row(title: str, values: Sequence[Sequence[float]]) -> list[str]:
        return [title, *(interval(of_task) for of_task in values)]

    forgetting = [
        [
            run.findings["attribution"][task]["after"] - run.findings["attribution"][task]["before"]
            for run in runs
        ]
        for task in range(n_tasks)
    ]
    rows = [row("forgetting", forgetting)]
    for kind, title in (("shapley", "share"), ("alone", "alone"), ("recovered", "put back")):
        for component in runs[0].findings["attribution"][0][kind]:
            of_tasks = [
                [run.findings["attribution"][task][kind][component] for run in runs]
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
                    interval([run.findings["sharpness"][task][kind] for run in runs], ".2g")
                    for task in range(n_tasks)
                ),
            ]
            for kind in kinds
        ],
    )
