"""Every learner on one stream: tuned alike, run with the same seeds."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from avalanche.benchmarks import CLScenario
from torch import nn

from avalanche_hsf.experiments.asked import HALVING, TUNING_SEED
from avalanche_hsf.experiments.commands.compare_report import compare_report, unequal
from avalanche_hsf.experiments.commands.comparison import SEEDS, Comparison, Learners
from avalanche_hsf.experiments.commands.tuning import tune
from avalanche_hsf.experiments.runs.doors import Named
from avalanche_hsf.experiments.runs.engines import make_engine
from avalanche_hsf.experiments.runs.jobs import Engine, make_all
from avalanche_hsf.experiments.runs.record import Runs
from avalanche_hsf.experiments.runs.results import CHECKPOINT_EVERY, ResultsFile
from avalanche_hsf.report import Report


def compare(
    benchmark: Named | CLScenario,
    learners: Learners | None = None,
    *,
    seeds: Sequence[int] = SEEDS,
    network: str | Callable[[], nn.Module] | None = None,
    criterion: str | Callable[[], nn.Module] | None = None,
    mb_size: int | None = None,
    epochs: int | None = None,
    tuning_seed: int = TUNING_SEED,
    search: str = HALVING,
    out: str | Path | None = None,
    fresh: bool = False,
    checkpoint_every: float = CHECKPOINT_EVERY,
    jobs: int = 1,
    scheduler: str | None = None,
) -> Runs:
    """Chooses a configuration for each learner and runs it with every seed.

    Args:
        benchmark: A name (see `avalanche-hsf list benchmarks`), an address `module:name`, an
            Avalanche benchmark, or a function that makes one, of the seed if it takes an argument.
        learners: Who is compared; the others are tested against the first. Names and groups of
            learners (see `avalanche-hsf list`) and addresses; or a mapping from names of your own
            to any of these, to a `Learner`, or to a function `build(setting, **arguments)` that
            returns an Avalanche strategy and passes `arguments` on to it. If that function has an
            argument `lr`, the rate is searched. Default: ours and Avalanche's.
        seeds: At least one; each trains every learner.
        network: A function that makes the network of one task, or its address. Default: the
            benchmark's own, or for a stream of yours an MLP.
        criterion: A function that makes the loss, or its address. Default: the cross entropy for
            classes, the MSE for vectors.
        mb_size: Samples per minibatch. Default: the benchmark's own, or 32.
        epochs: Epochs per task, for every learner. Default: the benchmark's own, or 10.
        tuning_seed: The seed of the search; not one of `seeds`.
        search: "halving": of four or more candidates only the better half after a tenth of the
            epochs is run to the end. "grid": all are, which takes longer, for tables whose
            configurations must not hang on short runs.
        out: Folder whose `results.json` keeps the runs; what it holds is not run again. Default:
            nowhere.
        fresh: Train anew what it holds.
        checkpoint_every: Seconds between two checkpoints of a run, from where the same call goes
            on within it; 0: none.
        jobs: Runs at a time, in processes of one thread each. In a script, call this under
            `if __name__ == "__main__":`.
        scheduler: Address of a Dask cluster that makes the runs instead.

    Returns:
        The runs by learner and seed. A run that fails is reported, left out and named in
        `Runs.failures`; one that diverged has a sentence in `Run.diverged`; the others go on. When
        the disk fails, runs are written elsewhere, which standard error names.

    Raises:
        TypeError, ValueError: A name is unknown (the message lists the valid ones), an address
            leads nowhere or to the wrong thing, a learner is not for that stream, the tuning seed
            is among the seeds, or `out` is of another version.

    Example:
        >>> runs = compare("split-digits", ["net-naive"], seeds=[1], epochs=1)
        >>> runs[0].learner, len(runs[0].error_matrix)
        ('net-naive', 5)
    """
    comparison = Comparison.of(
        benchmark,
        learners,
        seeds=seeds,
        network=network,
        criterion=criterion,
        mb_size=mb_size,
        epochs=epochs,
        tuning_seed=tuning_seed,
        search=search,
    )
    results = ResultsFile(out, fresh=fresh, checkpoint_every=checkpoint_every)
    with closing(results), make_engine(jobs, scheduler) as engine:
        runs = carry_out(comparison, results, engine)
    for sentence in unequal(runs):
        warnings.warn(sentence, stacklevel=2)
    return runs


def carry_out(comparison: Comparison, results: ResultsFile, engine: Engine) -> Runs:
    """Tunes every learner and runs it with every seed."""
    configurations, failures = tune(comparison, results, engine)
    jobs = [
        comparison.job_of(name, seed, configuration)
        for name, configuration in configurations.items()
        for seed in comparison.seeds
    ]
    runs = make_all(results, jobs, engine)
    failures = [*failures, *runs.failures]
    names = list(comparison.learners)
    return Runs(list(runs), failures, learners=names, seeds=comparison.seeds)


def check(options: argparse.Namespace) -> Comparison:
    """What was asked for; raises TypeError or ValueError, before anything runs."""
    names = ("seeds", "network", "criterion", "mb_size", "epochs", "tuning_seed", "search")
    arguments = {name: getattr(options, name) for name in names}
    return Comparison.of(options.benchmark, options.strategies, **arguments)


def report(comparison: Comparison, results: ResultsFile, engine: Engine) -> Report | None:
    """Carries it out; None if no run was finished."""
    runs = carry_out(comparison, results, engine)
    return compare_report(comparison, runs) if runs else None
