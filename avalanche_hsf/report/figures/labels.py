"""Names beside points: none on another, on a point or beyond the panel."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avalanche_hsf.report.figures.style import INK, MUTED, SMALL

_GAP = 1.5
"""Points of empty space around a name."""
_MARKER = 5.0
"""Points from the middle of a marker to where a name may begin."""
_DISTANCES = (_MARKER + 1, 9, 13, 18, 24, 32, 42, 54, 68, 84, 104, 128, 160)
_ANGLES = [k * math.pi / 8 for k in range(16)]


class Box(NamedTuple):
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )


def place_names(
    figure: Figure,
    panel: Axes,
    points: Mapping[str, tuple[float, float]],
    *,
    bars: Mapping[str, tuple[float, float]],
    bold: Collection[str] = (),
) -> bool:
    """Writes each name near its point, joined by a line where it had to go further.

    The panel's limits and the layout of its figure must be set: later changes move points, and
    the names with them. Greedy: the names with the most neighbours choose first, each the nearest
    free place, with the least crossing of bars and lines.

    Args:
        figure: The panel's.
        panel: Where the points are.
        points: x and y by name.
        bars: Lower and upper end of the vertical bar at each point.
        bold: Names to be set in bold.

    Returns:
        Whether there was a place for each; if not, none is written.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    scale = 72 / figure.dpi

    def at(x: float, y: float) -> np.ndarray:
        return np.asarray(panel.transData.transform((x, y))) * scale

    middles = {name: at(*point) for name, point in points.items()}
    sizes = {}
    for name in points:
        text = panel.text(0, 0, name, fontsize=SMALL, fontweight=_weight(name, bold))
        extent = text.get_window_extent(renderer)
        sizes[name] = extent.width * scale + 2 * _GAP, extent.height * scale + 2 * _GAP
        text.remove()
    frame = Box(*(float(edge) * scale for edge in panel.bbox.extents))
    taken = [_around(middle, 2 * _MARKER, 2 * _MARKER) for middle in middles.values()]
    thin = []
    for name, (low, high) in bars.items():
        x = points[name][0]
        (left, bottom), (_, top) = at(x, low), at(x, high)
        thin.append(Box(left - 1, bottom, left + 1, top))
    lines: list[Box] = []
    places = {}
    for name in sorted(points, key=lambda name: -_neighbours(middles[name], middles)):
        best, least = None, math.inf
        for cost, box in _candidates(middles[name], *sizes[name]):
            if cost >= least or not _inside(box, frame) or any(map(box.overlap, taken)):
                continue
            line = _line(middles[name], box)
            cost += 12.0 * sum(map(box.overlap, thin)) + 60.0 * sum(map(box.overlap, lines))
            cost += 15.0 * sum(part.overlap(other) for part in line for other in [*taken, *lines])
            if cost < least:
                best, least = box, cost
        if best is None:
            return False
        places[name] = best
        taken.append(best)
        lines += _line(middles[name], best)
    for name, box in places.items():
        _write(panel, name, points[name], middles[name], box, _weight(name, bold))
    return True


def _write(
    panel: Axes,
    name: str,
    point: tuple[float, float],
    middle: np.ndarray,
    box: Box,
    weight: str,
) -> None:
    centre = np.array([(box.left + box.right) / 2, (box.bottom + box.top) / 2])
    note = panel.annotate(
        name,
        point,
        xytext=tuple(centre - middle),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=SMALL,
        fontweight=weight,
        color=INK,
        annotation_clip=False,
    )
    note.set_in_layout(False)
    end = _nearest(middle, box)
    if np.hypot(*(end - middle)) > 2 * _MARKER:
        line = panel.annotate(
            "",
            point,
            xytext=tuple(end - middle),
            textcoords="offset points",
            arrowprops={
                "arrowstyle": "-",
                "color": MUTED,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": 3,
            },
            annotation_clip=False,
        )
        line.set_in_layout(False)


def _weight(name: str, bold: Collection[str]) -> str:
    return "bold" if name in bold else "normal"


def _neighbours(middle: np.ndarray, middles: Mapping[str, np.ndarray]) -> int:
    """How many points lie where its name might."""
    near = [abs(other - middle) for other in middles.values()]
    return sum(bool(gap[0] < 80 and gap[1] < 20) for gap in near)


def _candidates(middle: np.ndarray, width: float, height: float) -> Iterator[tuple[float, Box]]:
    """Places around a point with what they cost, the nearest first; right of it is cheapest."""
    for distance in _DISTANCES:
        for angle in _ANGLES:
            x, y = math.cos(angle), math.sin(angle)
            out = np.array([x * (distance + width / 2), y * (distance + height / 2)])
            aside = 2.0 * (1 - x) + 0.5 * (y < 0)
            yield distance + aside, _around(middle + out, width, height)


def _around(middle: np.ndarray, width: float, height: float) -> Box:
    x, y = float(middle[0]), float(middle[1])
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _inside(box: Box, frame: Box) -> bool:
    return (
        frame.left < box.left
        and box.right < frame.right
        and frame.bottom < box.bottom
        and box.top < frame.top
    )


def _nearest(middle: np.ndarray, box: Box) -> np.ndarray:
    """The point of a box that is nearest to another."""
    x = min(max(middle[0], box.left + _GAP), box.right - _GAP)
    y = min(max(middle[1], box.bottom + _GAP), box.top - _GAP)
    return np.array([x, y])


def _line(middle: np.ndarray, box: Box) -> Sequence[Box]:
    """The line from a point to its name, as small boxes; none where they are side by side."""
    end = _nearest(middle, box)
    length = float(np.hypot(*(end - middle)))
    if length <= 2 * _MARKER:
        return []
    first = 1.6 * _MARKER / length
    steps = np.linspace(first, 1, max(2, int(length / 4)))[:-1]
    return [_around(middle + step * (end - middle), 2, 2) for step in steps]
