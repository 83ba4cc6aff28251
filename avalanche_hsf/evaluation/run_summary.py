"""A run in a table: what each task had when it was learned, has now, and has lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from avalanche_hsf.checks import check_choice, shown
from avalanche_hsf.evaluation.matrix import ErrorMatrix
from avalanche_hsf.evaluation.training_order import TrainingOrder
from avalanche_hsf.logging import MetricName

_EVALUATE = "Evaluate all tasks after each, strategy.eval(benchmark.test_stream), to see all of it."
_RECORD = (
    "When each task was learned cannot be told from these evaluations: "
    "add TrainingOrder() to the evaluator, which records it."
)
_IN_ORDER = "Experiences count as trained in order: TrainingOrder() in the evaluator would know."
_NO_SHARE = (
    "Above 100 %: it counts several outputs of a sample, as of a strategy that reconstructs; "
    "mse_metrics(experience=True) measures those."
)
_STALE = "Trained since the last evaluation: `now` is older than the model."


@dataclass(frozen=True)
class SummaryRow:
    """A line of a `Summary`; None: not measured.

    Args:
        label: The task's label, or the index of the experience, see `Summary.by`; "mean".
        learned: The metric right after the task was learned.
        now: At the last evaluation.
        forgotten: How much worse it is now. Positive is worse, whichever way the metric points.
            None for the task learned last, too.
        is_trained: Whether it was trained so far; True where that is not known.
    """

    label: int | str
    learned: float | None
    now: float | None
    forgotten: float | None
    is_trained: bool = True


@dataclass(frozen=True)
class Summary:
    """What `summary` found; printed, a table of a line per task.

    Args:
        metric: Its name.
        stream: The evaluated stream.
        by: What the first column counts: "task", or "experience" where task labels do not tell
            experiences apart.
        rows: In the order of the stream.
        notes: What is missing, and what to do about it.
    """

    metric: str
    stream: str
    by: str
    rows: tuple[SummaryRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def mean(self) -> SummaryRow:
        """The mean of each column, over the trained tasks that have a number there."""
        rows = [row for row in self.rows if row.is_trained]
        learned, now = _mean(row.learned for row in rows), _mean(row.now for row in rows)
        return SummaryRow("mean", learned, now, _mean(row.forgotten for row in rows))

    def __str__(self) -> str:
        unit = ", %" if _is_share(self.metric) else ""
        lines = [f"{self.metric}{unit}, {self.stream} stream"]
        lines.append(f"{self.by:>10}{'just learned':>15}{'now':>12}{'forgotten':>12}")
        for row in (*self.rows, self.mean):
            cells = self._shown(row.learned), self._shown(row.now), self._shown(row.forgotten, "+")
            lines.append("{:>10}{:>15}{:>12}{:>12}".format(row.label, *cells))
        return "\n".join([*lines, *self.notes])

    def _shown(self, value: float | None, sign: str = "") -> str:
        if value is None:
            return "-"
        if isnan(value):
            return "nan"
        return f"{100 * value:{sign}.2f}" if _is_share(self.metric) else f"{value:{sign}.2e}"


def summary(strategy: Any, *, metric: str | None = None, stream: str = "test") -> Summary:
    """What each task had when it was learned, has now, and has lost, from what was evaluated.

    It reads the strategy's evaluator: an `ErrorMatrix` of any kind, and Avalanche's or this
    package's metrics of each experience (`accuracy_metrics(experience=True)` and the like), which
    an `EvaluationPlugin` with `collect_all=True`, the default, keeps. Numbers are those of the
    logs. A task that was trained again counts from then on.

    When each experience was learned is known to a `TrainingOrder` or an `ErrorMatrix` in the
    evaluator. Without them metrics of epochs show it if each experience has a task label of its
    own; otherwise experiences count as trained once, in order, and a note says so.

    Args:
        strategy: Any Avalanche strategy, after training.
        metric: Name of a metric without its suffix: "Top1_Acc", "MSE", "Loss" or another measure's.
            Default: the first there is of an accuracy, an error rate, the MSE, another, the loss.
        stream: Name of the evaluated stream.

    Raises:
        TypeError: It is no strategy.
        ValueError: Nothing was evaluated, or not this metric or stream; says what to do.

    Example:
        >>> from avalanche_hsf.benchmarks import SyntheticManifolds
        >>> from avalanche_hsf.evaluation import mse_metrics, quiet_evaluator
        >>> from avalanche_hsf.training import HSFStrategy
        >>> benchmark = SyntheticManifolds(n_samples=20)
        >>> evaluator = quiet_evaluator(mse_metrics(experience=True))
        >>> strategy = HSFStrategy.from_preset(input_dim=3, train_epochs=1, evaluator=evaluator)
        >>> for experience in benchmark.train_stream:
        ...     _ = strategy.train(experience)
        ...     _ = strategy.eval(benchmark.test_stream)
        >>> print(summary(strategy))  # doctest: +ELLIPSIS
        MSE, test stream
              task   just learned         now   forgotten
                 0       ...
              mean       ...
    """
    histories = _histories(strategy)
    if not histories:
        raise ValueError(
            "there is no evaluation to sum up: give the strategy an evaluator with a metric of "
            "each experience, EvaluationPlugin(accuracy_metrics(experience=True)) or "
            "mse_metrics(experience=True), and call strategy.eval(benchmark.test_stream) after "
            "each strategy.train(experience)"
        )
    streams = sorted({evaluated for _, evaluated in histories})
    check_choice("evaluated stream", stream, streams)
    names = sorted({name for name, evaluated in histories if evaluated == stream}, key=_rank)
    chosen = names[0] if metric is None else check_choice("metric", metric, names)
    return _summed_up(chosen, stream, histories[chosen, stream], strategy)


@dataclass
class _History:
    """Values by moment and by experience; a moment counts iterations, or is a row of a matrix.

    `learned` has the moment at which each experience had just been trained, where that is known.
    """

    higher_is_better: bool
    n_trained: int
    end: int
    values: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    learned: dict[int, int] | None = None

    @property
    def experiences(self) -> list[int]:
        return sorted({j for at_once in self.values.values() for j in at_once})


def _histories(strategy: Any) -> dict[tuple[str, str], _History]:
    """Those after some training, by metric and stream."""
    if not (hasattr(strategy, "evaluator") and hasattr(strategy, "clock")):
        raise TypeError(f"strategy must be an Avalanche strategy, got {shown(strategy)}")
    evaluator, clock = strategy.evaluator, strategy.clock
    metrics = getattr(evaluator, "metrics", ())
    directions = {str(m): getattr(m, "higher_is_better", None) for m in metrics}
    learned = _recorded(metrics, clock.train_exp_counter)
    found: dict[tuple[str, str], _History] = {}
    for name, parsed, moments, values in _curves(evaluator):
        better = _better_if_higher(name, directions)
        if parsed.phase != "eval" or parsed.experience is None or better is None:
            continue
        key = name.removesuffix("_Exp"), str(parsed.stream)
        for moment, value in zip(moments, values, strict=True):
            if moment > 0:
                made = _History(better, clock.train_exp_counter, clock.train_iterations)
                made.learned = learned
                found.setdefault(key, made).values[moment][parsed.experience] = float(value)
    for matrix in metrics:
        if isinstance(matrix, ErrorMatrix):
            for stream, cells in matrix.cells().items():
                n = matrix.n_trained
                history = _History(matrix.higher_is_better, n, n - 1)
                history.learned = matrix.rows
                for (i, j), value in cells.items():
                    history.values[i][j] = value
                found[str(matrix).removesuffix("Matrix"), stream] = history
    return found


def _summed_up(name: str, stream: str, history: _History, strategy: Any) -> Summary:
    labels = _labels(strategy.evaluator, stream)
    experiences, now = history.experiences, max(history.values)
    learned, notes = (
        (history.learned, [])
        if history.learned is not None
        else _learned_at(history, labels, strategy.evaluator)
    )
    rows = []
    for j in experiences:
        moment = learned.get(j)
        before = None if moment is None else history.values.get(moment, {}).get(j)
        after = history.values[now].get(j)
        lost = None
        if before is not None and after is not None and moment != now:
            lost = before - after if history.higher_is_better else after - before
        is_trained = not learned or j in learned
        rows.append(SummaryRow(labels.get(j, j), before, after, lost, is_trained))
    if learned and any(row.is_trained and None in (row.learned, row.now) for row in rows):
        notes.append(_EVALUATE)
    if now < history.end:
        notes.append(_STALE)
    if _is_share(name) and any(
        v > 1 for at_once in history.values.values() for v in at_once.values()
    ):
        notes.append(_NO_SHARE)
    by = "task" if set(experiences) <= labels.keys() else "experience"
    return Summary(name, stream, by, tuple(rows), tuple(notes))


def _recorded(metrics: Iterable[Any], n_trained: int) -> dict[int, int] | None:
    """The iteration at which the last training of each experience ended, if one knows of all."""
    for metric in metrics:
        order = metric.order if isinstance(metric, ErrorMatrix) else metric
        if isinstance(order, TrainingOrder) and order.n_trained == n_trained:
            return order.ends
    return None


def _learned_at(
    history: _History, labels: Mapping[int, int], evaluator: Any
) -> tuple[dict[int, int], list[str]]:
    """The same, of what the logs let see; notes, if that is not known."""
    moments, experiences = sorted(history.values), history.experiences
    n = history.n_trained
    if set(experiences) <= labels.keys():
        ends = _ends(evaluator)
        if ends:
            return {j: ends[labels[j]] for j in experiences if labels[j] in ends}, []
    if moments[-1] < history.end or len(moments) < n:
        return {}, [_EVALUATE]
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


def _labels(evaluator: Any, stream: str) -> dict[int, int]:
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


def _rank(name: str) -> tuple[int, str]:
    kinds = ("Acc", "ErrorRate", "MSE")
    place = next((k for k, kind in enumerate(kinds) if kind in name), len(kinds))
    return place + (name == "Loss"), name


def _is_share(name: str) -> bool:
    return "Acc" in name or "ErrorRate" in name


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
