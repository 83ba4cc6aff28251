"""Draws front.png, the picture at the top of the README, from what was measured.

    python docs/pictures/front.py

Both matrices are medians over the seeds of `measured/split-mnist-class`, and the digits those of
`examples/draw_old_tasks.py` there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from avalanche_hsf.experiments import ResultsFile
from avalanche_hsf.report.figures.style import INK, ON_DEEP, ON_PALE, dress, new_figure

HERE = Path(__file__).parent
MEASURED = HERE.parents[1] / "measured" / "split-mnist-class"
LEARNERS = {"net-naive": "Naive", "ids-hsf": "ours"}


def draw() -> Figure:
    """Accuracy after each task of a plain learner and of ours, and digits that ours draws."""
    runs = ResultsFile(MEASURED).runs
    figure = new_figure(2.9, width=11.0)
    panels = figure.subplots(1, 3, width_ratios=[1, 1, 2.1])
    for panel, (learner, name) in zip(panels, LEARNERS.items(), strict=False):
        errors = np.stack(
            [r.matrix for r in runs if r.learner == learner and r.benchmark == MEASURED.name]
        )
        _draw_matrix(panel, 100 * (1 - np.median(errors, axis=0)))
        y = "after learning" if panel is panels[0] else ""
        dress(panel, title=f"{name}: accuracy on each task, %", x="on task", y=y, grid="")
    samples = imread(MEASURED / "samples.png")
    drawn = samples[:, int(samples.shape[1] * 0.525) :]
    panels[2].imshow(drawn, cmap="gray", aspect="equal")
    panels[2].set_axis_off()
    panels[2].set_title(
        "digits of all tasks, drawn by our model after the last", size=8.5, color=INK
    )
    return figure


def _draw_matrix(panel: Axes, accuracy: np.ndarray) -> None:
    n = len(accuracy)
    panel.imshow(np.where(np.tri(n) > 0, accuracy, np.nan), cmap="viridis", vmin=0, vmax=100)
    for i, j in zip(*np.tril_indices(n), strict=True):
        color = ON_DEEP if accuracy[i, j] < 60 else ON_PALE
        text = f"{accuracy[i, j]:.0f}"
        panel.text(j, i, text, ha="center", va="center", fontsize=9, color=color)
    ticks = [f"{2 * k}, {2 * k + 1}" for k in range(n)]
    panel.set_xticks(range(n), ticks)
    panel.set_yticks(range(n), ticks)


if __name__ == "__main__":
    draw().savefig(HERE / "front.png", dpi=150, bbox_inches="tight")
