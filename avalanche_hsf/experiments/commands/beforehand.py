"""What is wrong with the words of a command, as far as it can be said without torch.

A wrong name is answered at once, in the sentence of the command's own `check`, which looks at
everything again. What needs torch is left to it: what an address leads to, and whether a preset can
be built with some values.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from avalanche_hsf.addresses import check_address, is_address
from avalanche_hsf.benchmarks.files import check_files
from avalanche_hsf.checks import check_choice
from avalanche_hsf.experiments.asked import (
    TUNING_SEED,
    check_benchmark,
    check_learner,
    check_one,
    check_seeds,
    check_targets,
    expand,
    members,
    not_a_maker,
)
from avalanche_hsf.experiments.catalogue import BenchmarkFacts, LearnerFacts, catalogue
from avalanche_hsf.experiments.commands.variations import everything, variations
from avalanche_hsf.extras import require
from avalanche_hsf.hyperparameters import LEAST, check_settings

DIAGNOSED = "paper"
"""The preset that is diagnosed unless another one is named."""


def check_words(options: argparse.Namespace) -> None:
    """Raises OSError, TypeError or ValueError, which the command's `check` would raise too.

    Raises:
        MissingExtraError: Dask is asked for and not installed.
    """
    if options.scheduler is not None:
        require("--scheduler", "distributed", extra="dask")
    elif options.jobs > 1:
        require(f"--jobs {options.jobs}", "distributed", extra="dask")
    match options.command:
        case "compare":
            _compare(options)
        case "diagnose":
            _diagnose(options)
        case "sweep":
            _sweep(options)


def check_together(options: argparse.Namespace) -> None:
    """ValueError if options of `diagnose` exclude each other."""
    if options.learner is None:
        if options.network is not None:
            raise ValueError("--network needs --learner: a preset has a network of its own")
        if options.search is not None:
            raise ValueError("--search needs --learner: a preset is not tuned")
    elif options.preset is not None or options.set:
        raise ValueError("--preset and --set do not go with --learner")


def _compare(options: argparse.Namespace) -> None:
    for what in ("network", "criterion"):
        _check_maker(what, getattr(options, what))
    problem = _problem(options.benchmark)
    _check_fit(options, problem, _learners(options.strategies or ()))
    check_seeds(options.seeds, options.tuning_seed)


def _diagnose(options: argparse.Namespace) -> None:
    check_together(options)
    if options.learner is None:
        preset = _preset(options.preset or DIAGNOSED)
        check_settings(dict(options.set or ()))
        _check_fit(options, _problem(options.benchmark), preset)
        return
    _check_maker("network", options.network)
    problem, learners = _problem(options.benchmark), _learners([options.learner])
    _check_fit(options, problem, learners)
    check_seeds(options.seeds, TUNING_SEED)
    check_one(options.learner, learners)


def _sweep(options: argparse.Namespace) -> None:
    preset, problem = _preset(options.preset), _problem(options.benchmark)
    _check_fit(options, problem, preset)
    values = catalogue().presets[options.preset].values
    variations(
        options.preset,
        values,
        dict(options.vary or everything(values)),
        # Of a stream of the user's any will do: it is in no message.
        latent_dim=LEAST["latent_dim"] if problem is None else problem.latent_dim,
        epochs=options.epochs,
    )


def _problem(benchmark: str) -> BenchmarkFacts | None:
    """What is known of a benchmark; of a user's nothing."""
    if is_address(benchmark):
        check_address(benchmark)
        return None
    check_benchmark(benchmark, catalogue().benchmarks)
    return catalogue().benchmarks[benchmark]


def _learners(names: Sequence[str]) -> dict[str, LearnerFacts]:
    """What is known of some learners and those of groups, but for a user's."""
    known = catalogue().learners
    named = expand(names, members(known))
    for name in named:
        if is_address(name):
            check_address(name)
        else:
            check_learner(name, known)
    return {name: known[name] for name in named if name in known}


def _preset(name: str) -> dict[str, LearnerFacts]:
    """The learner of a preset."""
    check_choice("preset", name, sorted(catalogue().presets))
    return {f"hsf-{name}": catalogue().learners[f"hsf-{name}"]}


def _check_fit(
    options: argparse.Namespace,
    problem: BenchmarkFacts | None,
    learners: Mapping[str, LearnerFacts],
) -> None:
    if problem is None:
        return
    check_targets(problem, learners, catalogue().learners)
    if not options.download:
        for name in problem.data:
            check_files(name)


def _check_maker(what: str, address: str | None) -> None:
    if address is None:
        return
    if not is_address(address):
        raise not_a_maker(what, address)
    check_address(address)
