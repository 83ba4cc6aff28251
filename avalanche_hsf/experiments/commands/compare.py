"""Every learner on one stream: tuned alike, run with the same seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from avalanche_hsf.experiments.learners.base import RATES, REGULARIZED
from avalanche_hsf.experiments.learners.ours import DELTAS, LEARNERS
from avalanche_hsf.experiments.learners.peers import UNSOUND
from avalanche_hsf.experiments.runs.jobs import Engine, Job, Plan, carry_out
from avalanche_hsf.experiments.runs.problems import BENCHMARKS
from avalanche_hsf.experiments.runs.results import ResultsFile, Run

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
    engine: Engine,
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
        engine: What makes the runs.
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
    plans = [
        _tuned_and_run(benchmark, strategy, seeds, tuning_seed, epochs) for strategy in strategies
    ]
    of_each = carry_out(results, plans, engine)
    return [run for runs in of_each for run in runs if run is not None]


def _tuned_and_run(
    benchmark: str, strategy: str, seeds: Sequence[int], tuning_seed: int, epochs: int
) -> Plan[Sequence[Run | None]]:
    configuration = yield from tuning(benchmark, strategy, seed=tuning_seed, epochs=epochs)
    if configuration is None:
        print(f"{strategy}: every configuration failed, left out")
        return []
    return (yield [Job(benchmark, strategy, seed, epochs, configuration) for seed in seeds])


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


def tuning(benchmark: str, strategy: str, *, seed: int, epochs: int) -> Plan[dict[str, Any] | None]:
    """The configuration of a learner with the lowest final mean error on a seed of its own.

    First every optimizer and learning rate of `RATES`, with the middle of the learner's own
    strengths; then, with the best of them, its other strengths; then, on a stream with few
    samples, those of `REGULARIZED`. A preset keeps its own optimizer and strengths.

    Returns:
        A plan, see `carry_out`, of the configuration; empty for a learner that runs as its name
        says; None if all failed.
    """
    learner, stream = LEARNERS[strategy], BENCHMARKS[benchmark]

    def lowest(candidates: list[dict[str, Any]]) -> Plan[dict[str, Any] | None]:
        if len(candidates) == 1:
            return candidates[0]
        made = yield [Job(stream.tuned_on, strategy, seed, epochs, each) for each in candidates]
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
    best = yield from lowest([{**rate, **middle} for rate in rates or [{}]])
    if best is not None:
        others = [{**best, **other} for other in learner.grid if other != middle]
        best = yield from lowest([best, *others])
    if best is not None and stream.few_samples and learner.regularized:
        best = yield from lowest([best, *({**best, "regularized": each} for each in REGULARIZED)])
    return best
