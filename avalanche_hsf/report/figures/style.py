"""What all figures share: a look for each learner, sizes, legends and titles."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

WIDTH = 7.0
"""Of a figure in inches: a text's width in print, 1050 pixels at 150 dpi."""
SMALL, LARGE = 8, 9.5
"""Font sizes in points."""
INK, MUTED, FAINT, BAND, PAPER = "#222222", "#6b6b6b", "#dddddd", "#f4f4f4", "#ffffff"
"""Of text and axes, of what is less important, of grids, of stripes and of the background. A page
puts its own in their place, see `inline_svg`: what must stay as it is has other colours."""
ON_PALE, ON_DEEP = "#1b1b1b", "#fdfdfd"
"""Of text on the colours of data."""
EMPTY = "#80808033"
"""Of a place of no data between those of data."""

# Okabe and Ito's colours, https://jfly.uni-koeln.de/color/, without black and yellow, which are
# lost on dark or on white pages; grey in their place.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808080")
_MARKERS = ("o", "s", "^", "D", "v", "p", "<", "h", ">", "d", "*")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1.2, 1.5)))


class Look(NamedTuple):
    """How a learner is drawn, in every figure of a report.

    Attributes:
        color: As "#rrggbb".
        marker: Matplotlib's name of it; one that can be filled or hollow.
        linestyle: As matplotlib takes it.
    """

    color: str
    marker: str
    linestyle: Any


def colors(names: Iterable[str]) -> dict[str, Look]:
    """A look for each learner: colours that the colour-blind can tell apart, marker and line.

    Made once for all learners of a report and handed to each figure, it gives a learner one look
    in all of them. The first seven differ in colour; later ones that share a colour differ in
    marker and line style.

    Source: M. Okabe and K. Ito, "Color Universal Design" (2008).

    Args:
        names: Of the learners, in the order of the tables; one that comes again keeps its look.

    Returns:
        The looks by name.

    Example:
        >>> colors(["mlp-paper", "hsf-paper"])["hsf-paper"]
        Look(color='#d55e00', marker='s', linestyle='-')
    """
    return {
        name: Look(
            _COLORS[i % len(_COLORS)],
            _MARKERS[i % len(_MARKERS)],
            _LINES[i // len(_COLORS) % len(_LINES)],
        )
        for i, name in enumerate(dict.fromkeys(names))
    }


def looks_of(names: Iterable[str], given: Mapping[str, Look] | None) -> dict[str, Look]:
    """The given looks, or `colors` of the names.

    Raises:
        ValueError: A name has no look among those that are given.
    """
    names = list(names)
    if given is None:
        return colors(names)
    if missing := [name for name in names if name not in given]:
        raise ValueError(
            f"colors has no look for {', '.join(missing)}, only for {', '.join(given)}: "
            "make it with colors(names) of all learners"
        )
    return dict(given)


def new_figure(height: float, *, width: float = WIDTH, title: str = "") -> Figure:
    """An empty figure, sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    if title:
        figure.suptitle(_broken(title, int(width * 13.5)), fontsize=LARGE, color=INK)
    return figure


def _broken(title: str, width: int) -> str:
    """A title in lines, broken before what is in brackets if that is enough."""
    if len(title) <= width:
        return title
    about, bracket, rest = title.partition(" (")
    parts = [about, bracket.strip() + rest] if bracket else [about]
    return "\n".join(line for part in parts for line in textwrap.wrap(part, width))


def dress(
    panel: Axes,
    *,
    title: str = "",
    x: str = "",
    y: str = "",
    grid: Literal["", "x", "y", "both"] = "both",
) -> None:
    """Labels, ticks, spines and grid of a panel; or no grid."""
    panel.set_title(title, fontsize=SMALL + 0.5, color=INK)
    panel.set_xlabel(x, fontsize=SMALL + 0.5, color=INK)
    panel.set_ylabel(y, fontsize=SMALL + 0.5, color=INK)
    panel.tick_params(which="both", labelsize=SMALL, labelcolor=INK, color=MUTED)
    panel.spines[["left", "bottom"]].set_color(MUTED)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_axisbelow(True)
    for axis in (panel.xaxis, panel.yaxis):
        axis.get_offset_text().set(fontsize=SMALL, color=INK)
    if grid:
        panel.grid(True, which="major", axis=grid, color=FAINT, linewidth=0.6)


def dress_bar(bar: Colorbar, label: str) -> None:
    """Label, ticks and outline of a colour bar."""
    bar.set_label(label, fontsize=SMALL + 0.5, color=INK)
    bar.ax.tick_params(which="both", labelsize=SMALL, labelcolor=INK, color=MUTED)
    bar.ax.yaxis.get_offset_text().set(fontsize=SMALL, color=INK)
    bar.outline.set_edgecolor(MUTED)


def task_ticks(panel: Axes, axis: str, n_tasks: int, *, first: int = 0, at_most: int = 12) -> None:
    """Ticks T0, T1, ..., not more than there is room for."""
    tasks = range(first, n_tasks, max(1, math.ceil((n_tasks - first) / at_most)))
    panel.set(**{f"{axis}ticks": list(tasks), f"{axis}ticklabels": [f"T{j}" for j in tasks]})


def line_handle(name: str, look: Look, **style: Any) -> Line2D:
    """A learner's entry in a legend."""
    line: dict[str, Any] = {
        "color": look.color,
        "marker": look.marker,
        "linestyle": look.linestyle,
        **style,
    }
    return Line2D([], [], label=name, markersize=5, linewidth=1.5, **line)


def legend_height(n: int) -> float:
    """Inches that so many names take, one under the other."""
    return 0.4 + 0.178 * n


def add_legend(owner: Figure | Axes, handles: list[Line2D], **place: Any) -> Legend:
    """A legend without a frame, of a figure or of a panel."""
    return owner.legend(
        handles=handles, frameon=False, fontsize=SMALL, labelcolor=INK, handlelength=2.6, **place
    )
