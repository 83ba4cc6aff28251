"""What a name stands for: something of this package, or of a user's module."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from avalanche.benchmarks import CLScenario
from torch import nn

from avalanche_hsf.addresses import is_address, load
from avalanche_hsf.checks import check_int
from avalanche_hsf.experiments.asked import check_benchmark, check_learner, not_a_maker
from avalanche_hsf.experiments.learners import LEARNERS, Learner, Problem
from avalanche_hsf.experiments.learners.base import RATES
from avalanche_hsf.experiments.runs.canonical import canonical
from avalanche_hsf.experiments.runs.named import BENCHMARKS
from avalanche_hsf.experiments.runs.problems import given, measured_by, problem_of

Named = str | Any
"""A name of this package, an address `module:name`, or the thing itself."""


def label_of(thing: Named) -> str:
    """What tables and results files call it."""
    if isinstance(thing, str):
        return thing
    return str(getattr(thing, "name", None) or getattr(thing, "__name__", type(thing).__name__))


def find_problem(
    benchmark: Named,
    network: Named = None,
    *,
    criterion: Named = None,
    mb_size: int | None = None,
) -> Problem:
    """The problem of a name or a stream.

    Args:
        benchmark: A name in `BENCHMARKS`; or an address of, or itself: a function that makes an
            Avalanche benchmark, called with the seed if it has an argument `seed` or one without a
            default; a benchmark, which is then the same for all seeds; or a `Problem`.
        network: A function that makes the network of one task, or its address. Default: the
            problem's own.
        criterion: A function that makes the loss, or its address, such as
            "torch.nn:BCEWithLogitsLoss". Default: the problem's own.
        mb_size: Samples per minibatch. Default: the problem's own.

    Raises:
        TypeError, ValueError: It is nothing of that kind; the message lists the valid names.
    """
    make_network, make_loss = _loaded(network), _loaded(criterion)
    for what, make in (("network", make_network), ("criterion", make_loss)):
        if make is not None and (not callable(make) or isinstance(make, nn.Module)):
            raise not_a_maker(what, label_of(make))
    problem = _problem(benchmark, make_network, make_loss)
    changes: dict[str, Any] = measured_by(make_loss) if make_loss else {}
    if make_network is not None:
        changes["make_network"] = partial(given, make_network)
        given(make_network)  # says what is wrong before anything is trained
    if mb_size is not None:
        changes["mb_size"] = check_int("mb_size", mb_size, at_least=1)
    return replace(problem, **changes)


def _problem(benchmark: Named, make_network: Any, make_loss: Any) -> Problem:
    thing = _loaded(benchmark)
    if isinstance(thing, str):
        check_benchmark(thing, BENCHMARKS)
        return BENCHMARKS[thing]
    if isinstance(thing, Problem):
        return thing
    if not callable(thing) and not isinstance(thing, CLScenario):
        raise TypeError(
            "benchmark must be a name, an Avalanche benchmark or a function that makes one, got "
            f"{label_of(thing)}"
        )
    return _problem_of(label_of(benchmark), thing)


_looked_at: dict[tuple[str, str], Problem] = {}


def _problem_of(label: str, thing: Any) -> Problem:
    """`problem_of`, which makes a stream to look at it, once while nothing changes."""
    if isinstance(thing, CLScenario):
        return problem_of(label, partial(_fixed, thing))
    key = (label, canonical(thing))
    if key not in _looked_at:
        _looked_at[key] = problem_of(label, partial(_called, thing))
    return _looked_at[key]


COMMON = ("plugins", "evaluator", "eval_mb_size")
"""Arguments that every learner is given besides the setting and its configuration."""


def find_learner(learner: Named) -> Learner:
    """The learner of a name, an address, a function that builds a strategy, or a `Learner`.

    Of a plain function that has an argument `lr` the learning rate is searched, and the optimizer
    too if it has an argument `optimizer`.

    Raises:
        TypeError, ValueError: It is nothing of that kind; the message lists the valid names.
    """
    thing = _loaded(learner)
    if isinstance(thing, Learner):
        return thing
    if isinstance(thing, str):
        check_learner(thing, LEARNERS)
        return LEARNERS[thing]
    if not callable(thing):
        raise TypeError(
            "a learner must be a name, a function that builds an Avalanche strategy or a Learner, "
            f"got {label_of(thing)} of type {type(thing).__name__}"
        )
    signature = inspect.signature(thing)
    arguments = signature.parameters
    try:
        signature.bind(
            None,
            **{name: None for name in ("lr", "optimizer") if name in arguments},
            **dict.fromkeys(COMMON),
        )
    except TypeError as error:
        name = label_of(thing).rpartition(":")[2]
        raise TypeError(
            f"{label_of(thing)} cannot be called as a learner ({error}): write def {name}(setting, "
            f"**arguments), and pass **arguments on to the strategy, which are {', '.join(COMMON)}"
        ) from None
    if {"lr", "optimizer"} <= set(arguments):
        return Learner(thing, optimizers=("AdamW",))
    if "lr" in arguments:
        return Learner(thing, grid=tuple({"lr": lr} for lr in RATES["AdamW"]), optimizers=())
    return Learner(thing, optimizers=())


def _loaded(thing: Named) -> Any:
    return load(thing) if is_address(thing) else thing


def _called(make: Callable[..., Any], seed: int) -> Any:
    """What a user's function makes: from the seed if it takes one, by name or as what it needs."""
    arguments = inspect.signature(make).parameters
    if "seed" in arguments:
        return make(seed=seed)
    needed = any(a.default is a.empty and a.kind < a.VAR_POSITIONAL for a in arguments.values())
    return make(seed) if needed else make()


def _fixed(benchmark: CLScenario, seed: int) -> CLScenario:
    return benchmark
