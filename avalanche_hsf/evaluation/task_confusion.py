"""Which tasks are taken for which."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import phase_and_task, stream_type
from torch import Tensor

from avalanche_hsf.checks import shown


class TaskConfusion(PluginMetric[Tensor]):
    """C[i, j]: how many samples of evaluation experience i were taken for the j-th task learned.

    Where each experience is a task and they are trained in their order, the diagonal counts what
    was recognized. Emitted after each evaluation of a stream.

    Args:
        plugin: The `TaskInferencePlugin` of the strategy.

    Example:
        >>> from avalanche_hsf.inference import TaskRecognizer
        >>> from avalanche_hsf.models import HypernetSDEFlow
        >>> from avalanche_hsf.training import TaskInferencePlugin
        >>> plugin = TaskInferencePlugin(TaskRecognizer(HypernetSDEFlow(64)))
        >>> TaskConfusion(plugin).result().shape  # nothing was evaluated yet
        torch.Size([0, 0])
    """

    def __init__(self, plugin: Any) -> None:
        super().__init__()
        if not hasattr(plugin, "inferred") or not hasattr(plugin, "recognizer"):
            raise TypeError(f"plugin must be a TaskInferencePlugin, got {shown(plugin)}")
        self._plugin = plugin
        self._counts: dict[tuple[int, int], int] = {}

    def reset(self) -> None:
        self._counts = {}

    def result(self) -> Tensor:
        """C of the last evaluation, integers, a row per experience and a column per task."""
        if not self._counts:
            return torch.zeros(0, 0, dtype=torch.long)
        tasks = self._plugin.recognizer.tasks
        n_rows = max(i for i, _ in self._counts) + 1
        matrix = torch.zeros(n_rows, len(tasks), dtype=torch.long)
        for (i, task), n in self._counts.items():
            matrix[i, tasks.index(task)] = n
        return matrix

    def accuracy(self) -> float:
        """The share of samples that were taken for the task which their experience was trained as.

        Of experiences with the numbers of trained ones, which must be of the same benchmark; NaN
        if none of them was evaluated, and, with a warning, if experiences were trained as different
        tasks under the number of one of them.
        """
        ambiguous = sorted(self._plugin.ambiguous & {i for i, _ in self._counts})
        if ambiguous:
            warnings.warn(
                f"experiences of the number {ambiguous[0]} were trained as different tasks, so "
                "which task is right is not known: read the matrix, result()",
                stacklevel=2,
            )
            return float("nan")
        trained = self._plugin.trained
        counts = {key: n for key, n in self._counts.items() if key[0] in trained}
        right = sum(n for (i, task), n in counts.items() if task in trained[i])
        return right / sum(counts.values()) if counts else float("nan")

    def before_eval(self, strategy: Any) -> None:
        self.reset()

    def after_eval_iteration(self, strategy: Any) -> None:
        inferred = self._plugin.inferred
        if inferred is None:
            return
        i = strategy.experience.current_experience
        tasks, counts = inferred.unique(return_counts=True)
        for task, n in zip(tasks.tolist(), counts.tolist(), strict=True):
            self._counts[i, task] = self._counts.get((i, task), 0) + n

    def after_eval(self, strategy: Any) -> list[MetricValue] | None:
        if not self._counts:
            return None
        phase, _ = phase_and_task(strategy)
        name = f"{self}/{phase}_phase/{stream_type(strategy.experience)}_stream"
        return [MetricValue(self, name, self.result(), strategy.clock.train_iterations)]

    def __str__(self) -> str:
        return "TaskConfusion"
