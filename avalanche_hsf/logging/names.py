"""The names that Avalanche gives to metric values, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_PARTS: dict[str, tuple[re.Pattern[str], type]] = {
    "phase": (re.compile(r"(.+)_phase"), str),
    "stream": (re.compile(r"(.+)_stream"), str),
    # Avalanche writes three digits at least; "Task0" is an entry of a metric.
    "task": (re.compile(r"Task(\d{3,}|-\d{2,})"), int),
    "experience": (re.compile(r"Exp(\d{3,}|-\d{2,})"), int),
}


@dataclass(frozen=True)
class MetricName:
    """What a name such as `Top1_Acc_Exp/eval_phase/test_stream/Task001/Exp001` says.

    Args:
        metric: The metric, with what comes after the other parts: an entry, a class, a component.
        phase: "train" or "eval"; None where the name does not say, here and below.
        stream: Name of the stream.
        task: Task label.
        experience: Index of the experience.

    Example:
        >>> name = MetricName.parse("Drift_Epoch/train_phase/train_stream/Task001/flow")
        >>> name.metric, name.phase, name.stream, name.task, name.experience
        ('Drift_Epoch/flow', 'train', 'train', 1, None)
    """

    metric: str
    phase: str | None = None
    stream: str | None = None
    task: int | None = None
    experience: int | None = None

    @classmethod
    def parse(cls, name: str) -> MetricName:
        """Takes a name apart; one of another form is a metric as a whole."""
        first, *rest = name.split("/")
        metric = [first]
        found: dict[str, Any] = {}
        for segment in rest:
            for part, (pattern, kind) in _PARTS.items():
                match = pattern.fullmatch(segment)
                if match and part not in found:
                    found[part] = kind(match[1])
                    break
            else:
                metric.append(segment)
        return cls("/".join(metric), **found)
