"""Runs of one row of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from avalanche_hsf.experiments.runs.record import Run
from avalanche_hsf.report import paired_p


def finite(runs: Sequence[Run]) -> list[Run]:
    """The runs that did not diverge: what means, intervals and p are taken over."""
    return [run for run in runs if not run.diverged]


def seeds_of(runs: Sequence[Run], n_asked: int) -> str:
    """How many seeds a row is of, and what became of the others.

    Args:
        runs: The finished runs of the row, those that diverged included.
        n_asked: How many were asked for.

    >>> seeds_of([], 2)
    '0 of 2, 2 failed'
    """
    counts = {"diverged": len(runs) - len(finite(runs)), "failed": n_asked - len(runs)}
    n = n_asked - sum(counts.values())
    lost = [f"{count} {what}" for what, count in counts.items() if count]
    return ", ".join([f"{n} of {n_asked}", *lost]) if lost else str(n)


def p_against(first: Sequence[Run], group: Sequence[Run]) -> str:
    """`p_between` for a table; "-" for NaN."""
    p = p_between(first, group)
    return "-" if math.isnan(p) else f"{p:.1g}"


def p_between(first: Sequence[Run], group: Sequence[Run]) -> float:
    """p of a paired test of two learners' final mean errors, over the seeds that both have.

    Runs that diverged have none.
    """
    errors = {run.seed: run.final_mean_error for run in finite(group)}
    pairs = [(r.final_mean_error, errors[r.seed]) for r in finite(first) if r.seed in errors]
    return paired_p([a for a, _ in pairs], [b for _, b in pairs])
