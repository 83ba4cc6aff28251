"""Axes: logarithmic ones on which zero has a place, and what is written at their ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from avalanche_hsf.report.figures.style import INK, PAPER

Form = Callable[[float], str]

_MOST_TICKS = 8


def log_axis(panel: Axes, axis: str, values: Iterable[float], form: Form | None = None) -> None:
    """A logarithmic axis that holds all values, zeros too.

    If there are zeros, the axis is broken: "0" stands apart, before a mark on the axis, so that no
    distance is read into it. Values that are not finite are not drawn and do not count.

    Args:
        panel: Whose axis.
        axis: "x" or "y".
        values: All that will be drawn, ends of error bars too, none below zero.
        form: What is written at a tick. Default: plain numbers near 1, else powers of ten.

    Raises:
        ValueError: A value is below zero.
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    if (finite < 0).any():
        raise ValueError(f"a logarithmic axis has no place for {finite.min():g}, below 0")
    positive, has_zero = finite[finite > 0], bool((finite == 0).any())
    set_scale = panel.set_xscale if axis == "x" else panel.set_yscale
    set_limits = panel.set_xlim if axis == "x" else panel.set_ylim
    if not len(positive):  # nothing but zeros
        set_limits(-0.05, 1.0)
        return
    low, high = float(positive.min()), float(positive.max())
    pad = max((high / low) ** 0.06, 1.2)
    if has_zero:
        threshold = 10.0 ** math.floor(math.log10(low) + 1e-9)
        set_scale("symlog", linthresh=threshold, linscale=max(0.4, 0.1 * math.log10(high / low)))
        # A whole decade at least, for else the ticks have no room behind the break.
        start, end = threshold, max(high * pad, 10 * threshold)
        set_limits(-0.3 * threshold, end)
        _mark_break(panel, axis, 0.5 * threshold)
    else:
        set_scale("log")
        start, end = low / pad, high * pad
        set_limits(start, end)
    major, minor = _ticks(start, end)
    major = [0.0, *major] if has_zero else major
    ticks = panel.xaxis if axis == "x" else panel.yaxis
    form = form or _form_of(major)
    ticks.set_major_locator(FixedLocator(major))
    ticks.set_major_formatter(FixedFormatter([form(tick) for tick in major]))
    ticks.set_minor_locator(FixedLocator(minor))
    ticks.set_minor_formatter(FixedFormatter([]))


def log_ticks(
    start: float, end: float, form: Form | None = None
) -> tuple[list[float], list[str], list[float]]:
    """Ticks of a logarithmic scale, what is written at them, and minor ticks."""
    major, minor = _ticks(start, end)
    form = form or _form_of(major)
    return major, [form(tick) for tick in major], minor


def symmetric_axis(panel: Axes, values: Sequence[float]) -> None:
    """A vertical axis that is logarithmic on both sides of zero, linear near it."""
    sizes = np.abs([value for value in values if value and math.isfinite(value)])
    least = math.floor(math.log10(max(float(np.quantile(sizes, 0.1)), 1e-4)))
    most = max(math.ceil(math.log10(sizes.max())), least + 1)
    panel.set_yscale("symlog", linthresh=10.0**least)
    exponents = range(least, most + 1, max(1, math.ceil((most - least + 1) / 5)))
    sides = [sign for sign in (-1, 1) if any(sign * value > 0 for value in values)]
    ticks = [0.0, *(sign * 10.0**k for sign in sides for k in exponents)]
    panel.yaxis.set_major_locator(FixedLocator(ticks))
    texts = [_as_power(tick) for tick in ticks]
    panel.yaxis.set_major_formatter(FixedFormatter(texts))
    panel.yaxis.set_minor_locator(NullLocator())


def percent(share: float) -> str:
    """A share at a tick, such as "2 %"."""
    return f"{100 * share:g} %"


def in_bytes(n: float) -> str:
    """Bytes at a tick, such as "20 kB": 1000 of each unit make one of the next."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n >= size:
            return f"{n / size:g} {unit}"
    return f"{n:g} B" if n else "0"


def in_numbers(n: float) -> str:
    """A count at a tick, such as "2,000"."""
    return f"{n:,.0f}" if n >= 1 or n == 0 else f"{n:g}"


def form_of_measure(measure: str) -> Form | None:
    """Error rates are written in percent, other errors as numbers."""
    return percent if is_share(measure) else None


def is_share(measure: str) -> bool:
    """Whether errors of that name are shares of samples."""
    return "rate" in measure or "accuracy" in measure


def _ticks(start: float, end: float) -> tuple[list[float], list[float]]:
    """Major and minor ticks: decades, and what lies between them if there are few."""
    decades = range(math.floor(math.log10(start)), math.ceil(math.log10(end)) + 1)

    def within_limits(ticks: Iterable[float]) -> list[float]:
        return [float(tick) for tick in ticks if start * 0.999 <= tick <= end * 1.001]

    def within(factors: Sequence[float], step: int = 1) -> list[float]:
        return within_limits(f * 10.0**k for k in decades if k % step == 0 for f in factors)

    n = math.log10(end / start)
    minor = within(range(2, 10)) if n < _MOST_TICKS else within([1])
    for factors in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        major = within(factors)
        if len(major) >= 3:
            break
    else:
        major = within_limits(MaxNLocator(5).tick_values(start, end))
        minor = []
    if len(major) > _MOST_TICKS:
        major = within([1], math.ceil(n / _MOST_TICKS))
    return major, minor


def _form_of(ticks: Sequence[float]) -> Form:
    sizes = [tick for tick in ticks if tick]
    if min(sizes) >= 1e-3 and max(sizes) <= 1e4:
        return lambda tick: f"{tick:g}"
    return _as_power


def _as_power(tick: float) -> str:
    if tick == 0:
        return "0"
    sign, size = "-" if tick < 0 else "", abs(tick)
    exponent = math.floor(math.log10(size) + 1e-9)
    factor = float(f"{size / 10.0**exponent:.3g}")
    times = "" if factor == 1 else f"{factor:g}\\times"
    return f"${sign}{times}10^{{{exponent}}}$"


def _mark_break(panel: Axes, axis: str, where: float) -> None:
    """Two strokes across an axis."""
    strokes: dict[str, Any] = {
        "clip_on": False,
        "linestyle": "none",
        "zorder": 6,
        "label": "_break",
    }
    slope = [(-1.0, -0.6), (1.0, 0.6)] if axis == "y" else [(-0.6, -1.0), (0.6, 1.0)]
    transform = panel.get_yaxis_transform() if axis == "y" else panel.get_xaxis_transform()
    place = ([0.0], [where]) if axis == "y" else ([where], [0.0])
    gap: dict[str, Any] = {"markersize": 4, "markeredgewidth": 0, "color": PAPER, "marker": "s"}
    panel.plot(*place, transform=transform, **gap, **strokes)
    for shift in (-1.6, 1.6):
        shifted = [
            (x, y + 0.35 * shift) if axis == "y" else (x + 0.35 * shift, y) for x, y in slope
        ]
        panel.plot(*place, transform=transform, marker=shifted, markersize=8, color=INK, **strokes)
