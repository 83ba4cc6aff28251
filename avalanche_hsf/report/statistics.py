"""Means, intervals and paired tests over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats


def mean_and_interval(values: Sequence[float], *, confidence: float = 0.95) -> tuple[float, float]:
    """The mean of some runs and the half width of its confidence interval, by Student's t.

    Args:
        values: One for each run, at least one.
        confidence: In (0, 1).

    Returns:
        Mean and half width; the width is NaN for a single run.

    Raises:
        ValueError: There are no values.

    Example:
        >>> mean, half_width = mean_and_interval([1.0, 2.0, 3.0])
        >>> mean, round(half_width, 2)
        (2.0, 2.48)
    """
    if len(values) == 0:
        raise ValueError("values must hold at least one number, got none")
    n = len(values)
    if n == 1:
        return float(values[0]), float("nan")
    half_width = stats.t.ppf((1 + confidence) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return float(np.mean(values)), float(half_width)


def mean_and_bounds(
    values: Sequence[float], limit: float = math.inf, *, confidence: float = 0.95
) -> tuple[float, float, float]:
    """The mean of numbers from 0 to a limit, and a confidence interval that stays in there.

    It is Student's interval of the transformed mean, log m or, below a limit, log(m / (limit - m)),
    by the delta method: of these `mean_and_interval` may cross 0. The errors of a learner spread by
    factors, which is why `paired_p` takes logarithms too.

    Args:
        values: One for each run, at least one.
        limit: That none can exceed, such as 1 for shares.
        confidence: In (0, 1).

    Returns:
        Mean and both ends of the interval; the ends are NaN for a single run.

    Raises:
        ValueError: There are no values.

    Example:
        >>> [round(bound, 2) for bound in mean_and_bounds([1.0, 2.0, 3.0])]
        [2.0, 0.58, 6.93]
    """
    mean, half_width = mean_and_interval(values, confidence=confidence)
    if half_width == 0 or not 0 < mean < limit:
        return mean, mean - half_width, mean + half_width
    # The slopes of the transformations at the mean are 1 / m and 1 / m + 1 / (limit - m).
    factor = math.exp(min(half_width * (1 / mean + 1 / (limit - mean)), 700.0))
    if math.isinf(limit):
        return mean, mean / factor, mean * factor
    odds = mean / (limit - mean)
    return mean, limit / (1 + factor / odds), limit / (1 + 1 / (factor * odds))


def paired_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p of a paired t-test on the logarithms of two learners' errors.

    On logarithms, since errors of learners differ by factors, not by amounts; where an error is
    0, as an error rate can be, on the errors themselves.

    Args:
        a: Errors of one learner, one for each seed.
        b: Errors of the other, for the same seeds in the same order.

    Returns:
        p; NaN for fewer than two pairs, or if an error is negative or not finite.

    Raises:
        ValueError: The lists differ in length.

    Example:
        >>> paired_p([1e-6, 2e-6, 1e-6], [1e-3, 3e-3, 2e-3]) < 0.01
        True
    """
    if len(a) != len(b):
        raise ValueError(f"the lists must be of one length, got {len(a)} and {len(b)}")
    errors = np.array([a, b], dtype=float)
    if len(a) < 2 or not (np.isfinite(errors).all() and (errors >= 0).all()):
        return float("nan")
    differences = np.diff(np.log10(errors) if errors.all() else errors, axis=0)[0]
    if np.ptp(differences) == 0:
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
