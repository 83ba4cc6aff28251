"""A run in a table: what each task had when it was learned, has now, and has lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import Any

from avalanche_hsf.checks import check_choice
from avalanche_hsf.evaluation.history import EVALUATE, History, histories, labels_of, learned_at
from avalanche_hsf.evaluation.summaries import excess

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
        metric: Name of a metric without its suffix: "Top1_Acc", "MSE", "Loss" or another measure's;
            of a second `ErrorMatrix` of the same name that name and " 2".
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
    found = histories(strategy)
    if not found:
        raise ValueError(
            "there is no evaluation to sum up: give the strategy an evaluator with a metric of "
            "each experience, EvaluationPlugin(accuracy_metrics(experience=True)) or "
            "mse_metrics(experience=True), and call strategy.eval(benchmark.test_stream) after "
            "each strategy.train(experience)"
        )
    streams = sorted({evaluated for _, evaluated in found})
    check_choice("evaluated stream", stream, streams)
    names = sorted({name for name, evaluated in found if evaluated == stream}, key=_rank)
    chosen = names[0] if metric is None else check_choice("metric", metric, names)
    return _summed_up(chosen, stream, found[chosen, stream], strategy)


def _summed_up(name: str, stream: str, history: History, strategy: Any) -> Summary:
    labels = labels_of(strategy.evaluator, stream)
    experiences, now = history.experiences, max(history.values)
    learned, notes = learned_at(history, labels, strategy)
    rows = []
    for j in experiences:
        moment = learned.get(j)
        before = None if moment is None else history.values.get(moment, {}).get(j)
        after = history.values[now].get(j)
        lost = None
        if before is not None and after is not None and moment != now:
            lost = excess(after, before, history.higher_is_better)
        is_trained = not learned or j in learned
        rows.append(SummaryRow(labels.get(j, j), before, after, lost, is_trained))
    if learned and any(row.is_trained and None in (row.learned, row.now) for row in rows):
        notes.append(EVALUATE)
    if now < history.end:
        notes.append(_STALE)
    if _is_share(name) and any(
        v > 1 for at_once in history.values.values() for v in at_once.values()
    ):
        notes.append(_NO_SHARE)
    by = "task" if set(experiences) <= labels.keys() else "experience"
    return Summary(name, stream, by, tuple(rows), tuple(notes))


def _rank(name: str) -> tuple[int, str]:
    kinds = ("Acc", "ErrorRate", "MSE")
    place = next((k for k, kind in enumerate(kinds) if kind in name), len(kinds))
    return place + (name == "Loss"), name


def _is_share(name: str) -> bool:
    return "Acc" in name or "ErrorRate" in name


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
