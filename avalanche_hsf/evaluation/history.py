"""What a run's evaluator has collected, and when each experience was learned."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from avalanche.training import JointTraining

from avalanche_hsf.checks import shown
from avalanche_hsf.evaluation.matrix import ErrorMatrix
from avalanche_hsf.evaluation.training_order import UNPAIRED, TrainingOrder
from avalanche_hsf.logging import MetricName

EVALUATE = "Evaluate all tasks after each, strategy.eval(benchmark.test_stream), to see all of it."
_RECORD = (
    "When each task was learned cannot be told from these evaluations: "
    "add TrainingOrder() to the evaluator, which records it."
)
_IN_ORDER = "Experiences count as trained in order: TrainingOrder() in the evaluator would know."


@dataclass
class History:
    """Values by moment and by experience; a moment counts iterations, or is a row of a matrix.

    `learned` has the moment at which each experience had just been trained; None: not known, not
    even where something recorded the training, `is_recorded`.
    """

    higher_is_better: bool
    n_trained: int
    end: int
    values: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    learned: dict[int, int] | None = None
    is_recorded: bool = False

    @property
    def experiences(self) -> list[int]:
        return sorted({j for at_once in self.values.values() for j in at_once})


def histories(strategy: Any) -> dict[tuple[str, str], History]:
    """Those after some training, by metric and stream."""
    if not (hasattr(strategy, "evaluator") and hasattr(strategy, "clock")):
        raise TypeError(f"strategy must be an Avalanche strategy, got {shown(strategy)}")
    evaluator, clock = strategy.evaluator, strategy.clock
    metrics = getattr(evaluator, "metrics", ())
    directions = {str(m): getattr(m, "higher_is_better", None) for m in metrics}
    order = _recorded(metrics, clock.train_exp_counter)
    found: dict[tuple[str, str], History] = {}
    for name, parsed, moments, values in _curves(evaluator):
        better = _better_if_higher(name, directions)
        if parsed.phase != "eval" or parsed.experience is None or better is None:
            continue
        key = name.removesuffix("_Exp"), str(parsed.stream)
        for moment, value in zip(moments, values, strict=True):
            if moment > 0 and key not in found:
                found[key] = History(better, clock.train_exp_counter, clock.train_iterations)
                found[key].is_recorded = order is not None
                found[key].learned = _ends_of(order, key[1]) if order else None
            if moment > 0:
                found[key].values[moment][parsed.experience] = float(value)
    named: Counter[str] = Counter()
    for matrix in metrics:
        if isinstance(matrix, ErrorMatrix):
            name = str(matrix).removesuffix("Matrix")
            named[name] += 1
            if named[name] > 1:  # of two of a kind, as micro and macro averages
                name = f"{name} {named[name]}"
            for stream, cells in matrix.cells().items():
                n = matrix.n_trained
                history = History(matrix.higher_is_better, n, n - 1)
                history.learned, history.is_recorded = matrix.rows(stream), True
                for (i, j), value in cells.items():
                    history.values[i][j] = value
                found[name, stream] = history
    return found


def _recorded(metrics: Iterable[Any], n_trained: int) -> TrainingOrder | None:
    """A metric that knows of all trainings."""
    for metric in metrics:
        order = metric.order if isinstance(metric, ErrorMatrix) else metric
        if isinstance(order, TrainingOrder) and len(order.ends) == n_trained:
            return order
    return None


def _ends_of(order: TrainingOrder, stream: str) -> dict[int, int] | None:
    learned, ends = order.learned_in(stream), order.ends
    return None if learned is None else {j: ends[k] for j, k in learned.items()}


def learned_at(
    history: History, labels: Mapping[int, int], strategy: Any
) -> tuple[dict[int, int], list[str]]:
    """The moment at which each experience had just been trained; notes, if that is not known."""
    if history.is_recorded:
        return ({}, [UNPAIRED]) if history.learned is None else (history.learned, [])
    if isinstance(strategy, JointTraining):
        return {}, [_RECORD]
    moments, experiences = sorted(history.values), history.experiences
    n = history.n_trained
    if set(experiences) <= labels.keys():
        ends = _ends(strategy.evaluator)
        if ends:
            return {j: ends[labels[j]] for j in experiences if labels[j] in ends}, []
    if moments[-1] < history.end or len(moments) < n:
        return {}, [EVALUATE]
    if n > experiences[-1] + 1 or len(moments) > n > 1:
        return {}, [_RECORD]
    learned = {j: moments[j if n > 1 else -1] for j in experiences if j < n}
    return learned, [_IN_ORDER] if len(experiences) > 1 else []


def _ends(evaluator: Any) -> dict[int, int]:
    """The iteration at which the last epoch of each task ended, by its label."""
    ends: dict[int, int] = {}
    for name, parsed, moments, _ in _curves(evaluator):
        if parsed.phase == "train" and parsed.task is not None and name.endswith("_Epoch"):
            ends[parsed.task] = max(ends.get(parsed.task, 0), *moments)
    return ends


def labels_of(evaluator: Any, stream: str) -> dict[int, int]:
    """The task label of each experience; none if two have the same."""
    found: dict[int, int] = {}
    for _, parsed, _, _ in _curves(evaluator):
        if parsed.stream == stream and None not in (parsed.task, parsed.experience):
            found[int(parsed.experience or 0)] = int(parsed.task or 0)
    return found if len(set(found.values())) == len(found) else {}


def _curves(evaluator: Any) -> Iterator[tuple[str, MetricName, list[int], list[Any]]]:
    """What the evaluator has collected: metric, its parsed name, moments and values."""
    collect: Callable[[], Mapping[str, Any]] = getattr(evaluator, "get_all_metrics", dict)
    for name, (moments, values) in collect().items():
        parsed = MetricName.parse(name)
        yield parsed.metric, parsed, moments, values


def _better_if_higher(name: str, directions: Mapping[str, bool | None]) -> bool | None:
    """Of a metric of experiences; None: it is none, or nothing says."""
    if not name.endswith("_Exp"):
        return None
    if directions.get(name) is not None:
        return directions[name]
    return {"Loss_Exp": False}.get(name, True if "_Acc_" in name else None)
