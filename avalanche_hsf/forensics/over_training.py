"""When a model forgot: what was watched while it trained."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from avalanche_hsf.forensics.run import RunFindings
from avalanche_hsf.report import Section, Table, plot_curves, significant


def over_training(findings: RunFindings) -> Section:
    """The losses on old tasks and the drift while later ones were learned."""
    rows = []
    for name, points in findings.old_losses.items():
        first, last = points[0], points[-1]
        at, worst = max(points, key=lambda point: point[1])
        task = sum(begin < at for begin in findings.begins) - 1
        rows.append(
            [
                name,
                significant(first[1]),
                significant(worst),
                f"{at:.0f}, in task {task}",
                significant(last[1]),
            ]
        )
    headers = ["loss on", "first measured", "worst", "at iteration", "at the end"]
    drifted = [
        [name, significant(max((value for _, value in points), default=math.nan), "#.2g")]
        for name, points in findings.drift.items()
    ]
    tables = []
    if rows:
        tables.append(
            Table("Loss on a few old samples while later tasks were learned", headers, rows)
        )
    if drifted:
        title = "Largest drift within a task, relative to the component's size"
        tables.append(Table(title, ["component", "drift"], drifted))
    return Section(
        "When",
        "A worst loss far above the last one is a dip within a task that recovers (stability gap, "
        "De Lange et al. 2023).",
        tables,
        _curves(findings),
    )


def _curves(findings: RunFindings) -> dict[str, Figure]:
    panels = {"loss on old tasks": findings.old_losses, "relative drift": findings.drift}
    panels = {label: curves for label, curves in panels.items() if curves}
    if not panels or not findings.begins:
        return {}
    title = "While the tasks were learned"
    return {"way.png": plot_curves(panels, begins=findings.begins, title=title)}
