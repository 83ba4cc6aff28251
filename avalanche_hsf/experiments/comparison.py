"""Every learner on one stream: tuned alike, run with the same seeds, in one table."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from avalanche_hsf.evaluation import mean_and_interval, paired_p, plot_frontier
from avalanche_hsf.experiments.learner import RATES, REGULARIZED
from avalanche_hsf.experiments.learners import DELTAS, LEARNERS
from avalanche_hsf.experiments.peers import UNSOUND
from avalanche_hsf.experiments.results import ResultsFile, Run, run_key
from avalanche_hsf.experiments.runner import N_PATHS, run
from avalanche_hsf.experiments.streams import BENCHMARKS
from avalanche_hsf.experiments.tables import Table

GROUPS: Mapping[str, tuple[str, ...]] = {
    "presets": ("hsf-paper", "hsf-repaired", "hsf-isolated", "hsf-compact"),
    "frontier": ("hsf-isolated", "hsf-compact", *(f"hsf-{name}" for name in DELTAS)),
    "peers": tuple(name for name in LEARNERS if name.startswith("mlp-") and name != "mlp-paper"),
    "networks": tuple(name for name, of in LEARNERS.items() if of.of_networks and of.optimizers),
}
"""Names that stand for several learners."""


def expand(names: Sequence[str]) -> list[str]:
    """Learners from names of learners and groups, each once, in order.

    Raises:
        ValueError: A name is not known, or that of a strategy that computes nonsense here; the
            message lists those there are, or says why.

    >>> expand(["hsf-isolated", "presets"])
    ['hsf-isolated', 'hsf-paper', 'hsf-repaired', 'hsf-compact']
    """
    chosen: dict[str, None] = {}
    for name in names:
        if name in UNSOUND:
            raise ValueError(f"{name} is not compared: Avalanche {UNSOUND[name]}")
        if name not in LEARNERS and name not in GROUPS:
            raise ValueError(
                f"there is no strategy {name!r}; there are {', '.join([*GROUPS, *LEARNERS])}"
            )
        chosen.update(dict.fromkeys(GROUPS.get(name, (name,))))
    return list(chosen)


def compare(
    results: ResultsFile,
    benchmark: str,
    strategies: Sequence[str],
    *,
    seeds: Sequence[int],
    epochs: int | None = None,
    tuning_seed: int = 100,
) -> list[Run]:
    """Chooses a configuration for each learner and runs it with every seed.

    Runs that the results file holds already are taken from it. A run that fails is reported and
    left out; the others go on.

    Args:
        results: Where finished runs are kept, those of the search included.
        benchmark: A name in `BENCHMARKS`.
        strategies: Names in `LEARNERS`.
        seeds: At least one.
        epochs: Epochs a task, for every learner; of autoencoders, with full batches, steps.
            Default: those of the stream's main network, or 300.
        tuning_seed: The seed of the search; not one of `seeds`.

    Returns:
        The runs by learner and seed.

    Raises:
        ValueError: The tuning seed is among the seeds, or a learner is not for that stream.
    """
    check_fit(benchmark, strategies)
    main = BENCHMARKS[benchmark].main
    if epochs is None:
        epochs = 300 if main is None else main.epochs
    if tuning_seed in seeds:
        raise ValueError(
            f"seed {tuning_seed} is that of the search for a learning rate: what is reported must "
            "be measured with others"
        )
    runs = []
    for strategy in strategies:
        configuration = tune(results, benchmark, strategy, seed=tuning_seed, epochs=epochs)
        if configuration is None:
            print(f"{strategy}: every configuration failed, left out")
            continue
        for seed in seeds:
            made = _found_or_made(results, benchmark, strategy, seed, epochs, configuration)
            if made is not None:
                runs.append(made)
    return runs


def check_fit(benchmark: str, strategies: Sequence[str]) -> None:
    """Raises ValueError if a learner is not for what is trained on that stream."""
    main = BENCHMARKS[benchmark].main
    fitting = [name for name, of in LEARNERS.items() if of.of_networks == (main is not None)]
    for strategy in strategies:
        if strategy not in fitting:
            raise ValueError(
                f"{strategy} is not for {benchmark}, where learners train "
                f"{'an autoencoder' if main is None else 'a main network'}: {', '.join(fitting)}"
            )


def tune(
    results: ResultsFile, benchmark: str, strategy: str, *, seed: int, epochs: int
) -> dict[str, Any] | None:
    """The configuration of a learner with the lowest final mean error on a seed of its own.

    First every optimizer and learning rate of `RATES`, with the middle of the learner's own
    strengths; then, with the best of them, its other strengths; then, on a stream with few
    samples, those of `REGULARIZED`. A preset keeps its own optimizer and strengths.

    Returns:
        The configuration; empty for a learner that runs as its name says; None if all failed.
    """
    learner, stream = LEARNERS[strategy], BENCHMARKS[benchmark]

    def lowest(candidates: list[dict[str, Any]]) -> dict[str, Any] | None:
        if len(candidates) == 1:
            return candidates[0]
        made = [
            _found_or_made(results, stream.tuned_on, strategy, seed, epochs, each)
            for each in candidates
        ]
        errors = [
            math.inf if run is None or math.isnan(run.final_mean_error) else run.final_mean_error
            for run in made
        ]
        best = min(errors)
        return None if math.isinf(best) else candidates[errors.index(best)]

    middle = learner.grid[len(learner.grid) // 2]
    optimizers = [
        name for name in learner.optimizers if stream.main is None or name in stream.main.optimizers
    ]
    rates = [{"optimizer": name, "lr": lr} for name in optimizers for lr in RATES[name]]
    best = lowest([{**rate, **middle} for rate in rates or [{}]])
    if best is not None:
        best = lowest([best, *({**best, **other} for other in learner.grid if other != middle)])
    if best is not None and stream.few_samples and learner.regularized:
        best = lowest([best, *({**best, "regularized": each} for each in REGULARIZED)])
    return best


def _found_or_made(
    results: ResultsFile,
    benchmark: str,
    strategy: str,
    seed: int,
    epochs: int,
    configuration: Mapping[str, Any],
) -> Run | None:
    found = results.find(run_key(benchmark, strategy, seed, epochs, configuration))
    if found is not None:
        return found
    try:
        made = run(benchmark, strategy, seed=seed, epochs=epochs, configuration=configuration)
    except (ArithmeticError, RuntimeError) as error:  # such as an eigenbasis of NaN
        print(f"{strategy}, seed {seed}, {dict(configuration)} failed: {error}")
        return None
    results.add(made)
    return made


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
                _interval([each.final_mean_error for each in group]),
                _interval([_of_mean_path(each) for each in group]),
                _interval([max(_last_row(each)) for each in group]),
                _interval([_forgetting(each)[0] for each in group], signed=True),
                f"{max(_forgetting(each)[1] for each in group):+.1e}".replace("+nan", "-"),
                _interval([-_forgetting(each)[0] for each in group], signed=True),
                "" if name == first else _p(by_strategy[first], group),
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
                _interval([each.seconds for each in group], digits=".0f"),
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
            mean, worst = _forgetting(each)
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


NOTES = (
    f"of {N_PATHS} paths' mean: the error of the mean of {N_PATHS} passes, of models with noise.",
    "forgetting: R[last, j] - R[j, j] over tasks j, positive is worse; worst over tasks and seeds.",
    "p: two-sided paired t-test over seeds of the logarithms of the final mean errors; not "
    "corrected for the number of rows.",
    "floats a task: what a further task adds to what is kept (numbers of 4 bytes; fewer bits count "
    "by their size), or the memory divided by the tasks; parameters: numbers in the model, frozen "
    "parts and fixed random bases included.",
    "configuration: chosen on the tuning seed, or as the learner's name says.",
)
"""What the columns of the tables are."""


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


def _forgetting(run: Run) -> tuple[float, float]:
    """Mean and worst over all tasks but the last; NaN for learners that train but once."""
    gaps = [gap for gap in run.forgetting[:-1] if gap is not None]
    return (_mean(gaps), max(gaps)) if gaps else (math.nan, math.nan)


def _of_mean_path(run: Run) -> float:
    mse = run.final_mean_error_of_mean_path
    return math.nan if mse is None else mse


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _interval(values: Sequence[float], *, signed: bool = False, digits: str = ".1e") -> str:
    mean, half_width = mean_and_interval(values)
    if math.isnan(mean):
        return "-"
    text = f"{mean:{'+' if signed else ''}{digits}}"
    return text if math.isnan(half_width) else f"{text} ± {half_width:{digits}}"


def _p(first: Sequence[Run], group: Sequence[Run]) -> str:
    own = {each.seed: each.final_mean_error for each in group}
    pairs = [(each.final_mean_error, own[each.seed]) for each in first if each.seed in own]
    p = paired_p([a for a, _ in pairs], [b for _, b in pairs])
    return "-" if math.isnan(p) else f"{p:.1g}"
