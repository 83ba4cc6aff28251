"""Which experiences were trained, and which of them each evaluated one stands for."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_utils import stream_type

from avalanche_hsf._private.avalanche import experiences_in_training

UNPAIRED = (
    "Streams of training and evaluation are not of one length, and their task labels do not tell "
    "which experience was learned when."
)
"""What `TrainingOrder.learned_in` means by None."""

Seen = tuple[int | None, tuple[int, ...], int | None]
"""An experience's index, its task labels, and the length of its stream; None: it has none."""


class TrainingOrder(PluginMetric[list[int]]):
    """The indices of the trained experiences, in the order in which their training ended.

    Metrics of experiences count iterations, and say nowhere which experience was trained before
    them. `summary` asks this one. `quiet_evaluator`, `default_evaluator` and `ErrorMatrix` have it.
    Of an online stream it has the experiences that the parts are of; of `JointTraining` all.

    Example:
        >>> from avalanche.evaluation.metrics import accuracy_metrics
        >>> from avalanche.training.plugins import EvaluationPlugin
        >>> evaluator = EvaluationPlugin(accuracy_metrics(experience=True), TrainingOrder())
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        self._trained: list[tuple[list[Seen], int]] = []
        self._evaluated: dict[str, dict[int, Seen]] = defaultdict(dict)

    def result(self) -> list[int]:
        return [index for seen, _ in self._trained for index, *_ in seen if index is not None]

    @property
    def ends(self) -> list[int]:
        """`strategy.clock.train_iterations` at the end of each training."""
        return [end for _, end in self._trained]

    def learned_in(self, stream: str) -> dict[int, int] | None:
        """Each evaluated experience's last training, counted from 0; without those yet to come.

        The two have the same index where both streams are of the same length and their labels do
        not contradict; where lengths are not known, if all that was trained was evaluated too.
        Otherwise they have the same task label, if evaluated experiences have one each. None:
        neither tells.
        """
        evaluated = self._evaluated.get(stream, {})
        by_index: dict[int | None, int] = {}
        by_label: dict[int, int] = {}
        labels_of: dict[int | None, tuple[int, ...]] = {}
        for k, (seen, _) in enumerate(self._trained):
            for index, labels, _ in seen:
                by_index[index], labels_of[index] = k, labels
                by_label.update(dict.fromkeys(labels, k))
        everything = [*evaluated.values(), *(one for seen, _ in self._trained for one in seen)]
        lengths = {length for *_, length in everything}
        pairs = by_index.keys() <= evaluated.keys() if None in lengths else len(lengths) == 1
        label_of = {j: labels[0] for j, (_, labels, _) in evaluated.items() if len(labels) == 1}
        have_labels = len(label_of) == len(set(label_of.values())) == len(evaluated)
        agree = all(
            labels_of[j] == labels for j, (_, labels, _) in evaluated.items() if j in labels_of
        )
        if pairs and (agree or not have_labels or len(evaluated) == 1):
            return {j: by_index[j] for j in evaluated if j in by_index}
        if have_labels:
            return {j: by_label[label] for j, label in label_of.items() if label in by_label}
        return None

    def after_training_exp(self, strategy: Any) -> None:
        seen = [_seen(experience) for experience in experiences_in_training(strategy)]
        self._trained.append((seen, strategy.clock.train_iterations))

    def before_eval_exp(self, strategy: Any) -> None:
        experience = strategy.experience
        evaluated = self._evaluated[stream_type(experience)]
        evaluated[experience.current_experience] = _seen(experience)

    def __str__(self) -> str:
        return "TrainingOrder"


def _seen(experience: Any) -> Seen:
    """What it was in its stream: before parts were made of it, or its label was changed."""
    logged = experience.logging() if hasattr(experience, "logging") else experience
    whole = getattr(logged, "origin_experience", logged)
    labels = tuple(sorted(int(label) for label in getattr(whole, "task_labels", None) or ()))
    return getattr(whole, "current_experience", None), labels, _length_of_stream(whole)


def _length_of_stream(experience: Any) -> int | None:
    """Of the whole stream, also where an experience is of a slice; None: not known."""
    try:
        stream = experience.origin_stream
        return len(stream.benchmark.streams[stream.name])
    # Of no stream (Avalanche asserts), of a user's own, or of one that is not counted.
    except (AssertionError, AttributeError, KeyError, TypeError):
        return None
