"""The paper's experiment and its cure, the tables beside the published ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from avalanche_hsf.experiments.commands.published import (
    PUBLISHED_FORGETTING_T0,
    PUBLISHED_MATRICES,
    PUBLISHED_RATIO,
)
from avalanche_hsf.experiments.commands.reconstructed import figure_of_curves, run_with_curves
from avalanche_hsf.experiments.runs.groups import finite
from avalanche_hsf.experiments.runs.jobs import Engine, Job, make_all
from avalanche_hsf.experiments.runs.record import Run, Runs
from avalanche_hsf.experiments.runs.results import ResultsFile
from avalanche_hsf.report import (
    Report,
    Section,
    Table,
    colors,
    plot_matrix,
    plot_task_over_stream,
    signed,
)

BENCHMARK = "synthetic"
CURVES = "Two of three coordinates. Of a model with noise each point is one path, as in the tables."
PAPER_EPOCHS = 300
PAPER_SEED = 42
CURE = "hsf-isolated"
RATIO_OF_ONE = "; a ratio of one seed, for over ten the MLP forgets nothing in the median"
NAMES = {
    "mlp-paper": "MLP, fine-tuned",
    "hsf-paper": "Hypernet-SDE-Flow, as published",
    CURE: "ours: isolated",
}
"""What learners are called in tables and figures."""
TABLES = {"mlp-paper": "Table 2", "hsf-paper": "Table 3", CURE: "The cure"}


def check(options: argparse.Namespace) -> list[Job]:
    """The runs of all learners with every seed."""
    return [
        Job(BENCHMARK, learner, seed, options.epochs, work=run_with_curves)
        for seed in options.seeds
        for learner in NAMES
    ]


def report(jobs: list[Job], results: ResultsFile, engine: Engine) -> Report | None:
    """Carries it out and reports the seeds with which all learners have finite errors.

    The report has no tables if there is no such seed; None: no run was finished.
    """
    for job in jobs:
        if results.find(job.key) is not None:
            print(f"{job.learner}, seed {job.seed}: taken from {results.path}")
    finished = make_all(results, jobs, engine)
    if not finished:
        return None
    by_seed = Runs(finite(finished)).by("seed")
    runs = [run for group in by_seed.values() if len(group) == len(NAMES) for run in group]
    n, n_asked = len(runs) // len(NAMES), len(finished.seeds)
    found = headline(runs) if runs else ""
    notes = [sentence for sentence in verdict(runs) if sentence != found] if runs else []
    if n < n_asked:
        notes = [f"{n} of {n_asked} seeds: the others have no finite errors of all three.", *notes]
    return Report(
        "summary",
        notes=notes,
        failures=finished.failures,
        diverged=finished.diverged,
        headline=found,
        sections=sections(runs) if runs else [],
    )


def sections(runs: Sequence[Run]) -> list[Section]:
    """The matrices R, what became of the first task, and the curves if the runs kept them."""
    *matrices, forgetting = tables(runs)
    curves = figure_of_curves(runs, NAMES)
    (heat_maps, task0) = ({name: figure} for name, figure in figures(runs).items())
    return [
        Section("What was learned and what is left of it", tables=matrices, figures=heat_maps),
        Section("Forgetting of the first task", tables=[forgetting], figures=task0),
        *([Section("The curves themselves", CURVES, figures=curves)] if curves else []),
    ]


def figures(runs: Sequence[Run]) -> dict[str, Figure]:
    """Both figures, by file name."""
    by_name = {name: matrices(runs, learner) for learner, name in NAMES.items()}
    return {
        "error_matrix.png": plot_matrix(by_name),
        "task0.png": plot_task_over_stream(by_name, colors=colors(by_name)),
    }


def tables(runs: Sequence[Run]) -> list[Table]:
    """Tables 2, 3 and 4 of the paper, ours beside the published figures, and that of the cure."""
    return [*(_matrix_table(runs, learner) for learner in NAMES), _forgetting_table(runs)]


def headline(runs: Sequence[Run]) -> str:
    """Whether the failure reproduces and the cure holds, of the sentences in `verdict`."""
    if runs[0].epochs != PAPER_EPOCHS:
        return (
            f"This ran {runs[0].epochs} epochs per task where the paper has {PAPER_EPOCHS}: the "
            "figures are not comparable with the published ones."
        )
    hsf, mlp = _median_forgetting_t0(runs, "hsf-paper"), _median_forgetting_t0(runs, "mlp-paper")
    return (
        ("The failure reproduces: the " if hsf > 0 and hsf >= 50 * mlp else "The ")
        + f"Hypernet-SDE-Flow forgets T0 by {signed(hsf)}"
        + ("" if len(_seeds(runs)) == 1 else " in the median")
        + f", the MLP by {signed(mlp)}: {_ratio(runs)} (paper: "
        + f"{signed(PUBLISHED_FORGETTING_T0['hsf-paper'])}, "
        + f"{signed(PUBLISHED_FORGETTING_T0['mlp-paper'])}, {PUBLISHED_RATIO} times"
        + (RATIO_OF_ONE if len(_seeds(runs)) == 1 else "")
        + "). "
        + f"With isolated weights it forgets {_gap(_median_forgetting_t0(runs, CURE))}."
    )


def verdict(runs: Sequence[Run]) -> list[str]:
    """What became of each claim of the paper, a plain sentence each."""
    seeds = _seeds(runs)
    if runs[0].epochs != PAPER_EPOCHS:
        return [headline(runs)]
    sentences = []
    if PAPER_SEED in seeds:
        equal, n = _equal_cells(runs)
        sentences.append(
            f"The MLP's table {'reproduces' if equal == n else 'does not reproduce'}: with seed "
            f"{PAPER_SEED}, {equal} of its {n} cells equal the paper's to 4 decimals."
        )
    sentences.append(headline(runs))
    sentences.append(_isolation(runs))
    if len(seeds) == 1:
        return [
            *sentences,
            "The Hypernet-SDE-Flow's single cells do not reproduce and cannot: they depend on the "
            "noise stream of the author's code. Run several seeds (--seeds 0,1,2,...) to see where "
            "the paper's lie among them.",
        ]
    worst = float(_forgetting_t0(runs, "mlp-paper").max())
    if worst > 0:
        times = _median_forgetting_t0(runs, "hsf-paper") / worst
        sentences.append(
            f"That is {times:.0f} times what the MLP forgets of T0 with its worst seed, "
            f"{signed(worst)}."
        )
    for name, model in (("mlp-paper", "MLP"), ("hsf-paper", "Hypernet-SDE-Flow")):
        outside, n = _outside(runs, name), len(_published_cells(name))
        sentences.append(
            f"Of the {model}'s {n} published cells, {n - len(outside)} lie inside the range "
            f"of our {len(seeds)} seeds." + (f" Outside: {', '.join(outside)}." if outside else "")
        )
    return sentences


def _isolation(runs: Sequence[Run]) -> str:
    """Of the paper's conclusion, by the worst task and seed."""
    worst = max(run.mean_and_worst_forgetting[1] for run in runs if run.learner == CURE)
    error = float(_median(matrices(runs, CURE)[:, -1].mean(dim=1)))
    holds = worst < abs(PUBLISHED_FORGETTING_T0["mlp-paper"]) / 100
    return (
        '"True parameter isolation must be more explicit and complete" (section 4) '
        f"{'is supported' if holds else 'is not supported'}: isolated keeps each task's weights "
        "to the last bit, its worst forgetting, which is noise of the "
        f"evaluation, is {_gap(worst)}, its final mean MSE {error:.0e}."
    )


def matrices(runs: Sequence[Run], learner: str) -> Tensor:
    """R of every run of a learner, a `seeds x T x T` tensor, NaN above the diagonal."""
    return torch.stack([run.matrix for run in runs if run.learner == learner])


def _matrix_table(runs: Sequence[Run], learner: str) -> Table:
    ours = matrices(runs, learner)
    n_tasks = ours.shape[-1]
    rows = []
    published = PUBLISHED_MATRICES.get(learner)
    form = ".1e" if published is None else ".4f"
    for i in range(n_tasks):
        cells = ours[:, i, : i + 1]
        median = _median(cells).tolist()
        lines = {"ours" if len(ours) == 1 else "ours, median": _cells(median, form)}
        if len(ours) > 1:
            lines["lowest"] = _cells(cells.amin(dim=0).tolist(), form)
            lines["highest"] = _cells(cells.amax(dim=0).tolist(), form)
        if published is not None:
            lines["paper"] = _cells(published[i])
            differences = zip(median, published[i], strict=True)
            lines["difference"] = [signed(a - b) for a, b in differences]
        for n, (label, line) in enumerate(lines.items()):
            blank = ["-"] * (n_tasks - len(line))
            rows.append([f"Task {i}" if n == 0 else "", label, *line, *blank])
    headers = ["Trained on", "", *(f"Test T{j}" for j in range(n_tasks))]
    title = f"{TABLES[learner]}. {NAMES[learner]}: MSE, {_seeds_in_words(runs)}"
    return Table(title, headers, rows)


def _cells(errors: Sequence[float], form: str = ".4f") -> list[str]:
    return [f"{mse:{form}}" for mse in errors]


def _gap(value: float) -> str:
    """With its sign, as in the paper, or where that would be +0.0000 by its size."""
    return signed(value) if value == 0 or abs(value) >= 5e-5 else f"{value:+.0e}"


def _forgetting_table(runs: Sequence[Run]) -> Table:
    rows = []
    for learner, name in NAMES.items():
        r, gap = matrices(runs, learner), _forgetting_t0(runs, learner)
        spread = "" if len(r) == 1 else f" [{_gap(float(gap.min()))}, {_gap(float(gap.max()))}]"
        first_and_last = [float(_median(r[:, i, 0])) for i in (0, -1)]
        published = PUBLISHED_FORGETTING_T0.get(learner)
        row = [name, *_cells(first_and_last, ".1e" if published is None else ".4f")]
        row.append(_gap(_median_forgetting_t0(runs, learner)) + spread)
        rows.append([*row, "-" if published is None else signed(published)])
    rows.append(["published / MLP", "", "", _ratio(runs), f"{PUBLISHED_RATIO} times"])
    several = "" if len(runs) == len(NAMES) else ", medians and [range]"
    headers = ["Model", "T0 after T0", "T0 after T4", "Forgetting", "paper"]
    title = f"Table 4. Forgetting on task 0, {_seeds_in_words(runs)}{several}"
    return Table(title, headers, rows)


def _seeds(runs: Sequence[Run]) -> list[int]:
    return [run.seed for run in runs if run.learner == "mlp-paper"]


def _seeds_in_words(runs: Sequence[Run]) -> str:
    seeds = _seeds(runs)
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _forgetting_t0(runs: Sequence[Run], learner: str) -> Tensor:
    return torch.tensor([run.forgetting[0] for run in runs if run.learner == learner])


def _median_forgetting_t0(runs: Sequence[Run], learner: str) -> float:
    return float(_median(_forgetting_t0(runs, learner)))


def _ratio(runs: Sequence[Run]) -> str:
    """T0's forgetting of the HSF over the MLP's, each in the median over seeds."""
    hsf, mlp = _median_forgetting_t0(runs, "hsf-paper"), _median_forgetting_t0(runs, "mlp-paper")
    return "no ratio, the MLP forgets nothing" if mlp <= 0 else f"{hsf / mlp:.0f} times"


def _median(values: Tensor) -> Tensor:
    """Over the first dimension; of an even number the mean of the middle two, unlike torch's."""
    return values.quantile(0.5, dim=0)


def _published_cells(learner: str) -> list[tuple[int, int, float]]:
    return [
        (i, j, mse)
        for i, row in enumerate(PUBLISHED_MATRICES[learner])
        for j, mse in enumerate(row)
    ]


def _equal_cells(runs: Sequence[Run]) -> tuple[int, int]:
    (r,) = (run.matrix for run in runs if run.learner == "mlp-paper" and run.seed == PAPER_SEED)
    cells = _published_cells("mlp-paper")
    return sum(f"{float(r[i, j]):.4f}" == f"{mse:.4f}" for i, j, mse in cells), len(cells)


def _outside(runs: Sequence[Run], learner: str) -> list[str]:
    """The published cells beyond our range, both at the paper's four decimals."""
    ours = matrices(runs, learner).round(decimals=4)
    low, high = ours.amin(dim=0), ours.amax(dim=0)
    return [
        f"T{j} after T{i} (paper {mse:.4f}, ours {float(low[i, j]):.4f} to {float(high[i, j]):.4f})"
        for i, j, mse in _published_cells(learner)
        if not float(low[i, j]) - 1e-9 <= mse <= float(high[i, j]) + 1e-9
    ]
