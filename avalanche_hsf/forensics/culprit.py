"""What happened to a culprit and to the features, and what to try."""

from __future__ import annotations

import math

from avalanche_hsf.forensics.findings import TaskFindings
from avalanche_hsf.forensics.parts import STATISTICS

LEARNED_POINTS = 10.0
"""Accuracy of the probe above chance, in points, below which there were no features to lose."""
INTACT_POINTS = 3.0
"""Accuracy of the probe, in points, that intact features may lose."""
TURNED = 0.1
"""1 - CKA up to which features are the same but for a rotation, a shift or a scale."""

CURES = {
    "shared": "give each task weights of its own (TaskConditional), or rehearse old samples",
    "new head": "with a head for each task fit that to a few old samples, with one for all tasks "
    "fit all layers; or give each task weights of its own (TaskConditional)",
    "head": "fit the head to a few old samples; the features can stay",
    "turned": "fit the head to a few old samples, or put the layer back",
    "layer": "protect it: freeze it, or write it for each task; or put it back",
    STATISTICS: "keep running statistics for each task (TaskStatistics), or set them from some "
    "old samples; no weight has to change",
    "embeddings": "freeze the embeddings of finished tasks",
}


def state_of_features(findings: TaskFindings) -> str:
    if findings.probe is None:
        return "unknown"
    before, after = findings.probe
    if before - findings.chance < LEARNED_POINTS:
        return "unknown"
    if before - after > INTACT_POINTS + _spread_of_probe(findings):
        return "lost"
    return "intact"


def _spread_of_probe(findings: TaskFindings) -> float:
    """Standard error of the difference of two accuracies, as of independent samples."""
    assert findings.probe is not None
    n = max(findings.attribution.n_samples, 1)
    shares = [min(max(p / 100, 0.5 / n), 1 - 0.5 / n) for p in findings.probe]
    return float(100 * math.sqrt(sum(p * (1 - p) for p in shares) / n))


def of_culprit(kind: str, features: str, findings: TaskFindings) -> tuple[str, str]:
    """What happened to it, and what to try."""
    if kind == STATISTICS:
        return "no weight moved there, only running means and variances", CURES[kind]
    if kind == "embeddings":
        return "what it holds of the task moved, embeddings and nothing else", CURES[kind]
    if findings.accuracy is None:
        return "", CURES["layer"]
    if features == "unknown":
        return "whether its features are intact is not known", CURES["layer"]
    assert findings.probe is not None
    before, after = findings.probe
    probe = f"probe {before:.1f} to {after:.1f} %"
    if findings.is_dead:
        return f"the features are now the same for every sample: its units are dead ({probe})", (
            CURES["shared"]
        )
    if features == "lost" and kind == "head":
        return f"the features lost some of the task too ({probe})", CURES["shared"]
    if features == "lost":
        return f"the features {_how_lost(findings)} ({probe})", CURES["layer"]
    if kind == "head":
        return f"the features are intact ({probe}), so the head moved", CURES["head"]
    if features == "turned":
        change = f"1 - CKA {findings.feature_change:.2g}"
        return (
            f"the features were turned or scaled, not lost ({probe}, {change}): the head no "
            "longer fits them",
            CURES["turned"],
        )
    return (
        f"the features changed and still tell the classes apart ({probe}): the head no longer "
        "fits them",
        CURES["turned"],
    )


def said_of_features(findings: TaskFindings, features: str) -> str:
    if features == "unknown" or findings.probe is None:
        return ""
    before, after = findings.probe
    said = _how_lost(findings) if features == "lost" else "still tell the classes apart"
    if findings.is_dead:
        said = "are now the same for every sample: units are dead"
    return f"; the features {said} (probe {before:.1f} to {after:.1f} %)"


def _how_lost(findings: TaskFindings) -> str:
    assert findings.probe is not None
    before, after = findings.probe
    is_half_left = after - findings.chance > (before - findings.chance) / 2
    return "lost some of the task" if is_half_left else "are lost"
