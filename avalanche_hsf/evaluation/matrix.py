"""The matrix R[i, j], as a metric."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metric_utils import phase_and_task, stream_type
from torch import Tensor

from avalanche_hsf.evaluation.errors import MeanSquaredError, MisclassificationRate
from avalanche_hsf.evaluation.measures import Measure, Measurement
from avalanche_hsf.evaluation.summaries import excess
from avalanche_hsf.evaluation.training_order import UNPAIRED, TrainingOrder


class ErrorMatrix(PluginMetric[Tensor]):
    """R[i, j]: a measure on evaluation experience j after the i-th training experience.

    Rows count trained experiences, columns are the indices of evaluation experiences; a cell
    that was never measured is NaN. Evaluations before the first training are not part of it.
    One matrix per evaluated stream.

    Args:
        measure, higher_is_better: See `Measurement`, also for the errors raised.

    Example:
        >>> from avalanche.training.plugins import EvaluationPlugin
        >>> from torchmetrics.classification import MulticlassF1Score
        >>> matrix = ErrorMatrix(MulticlassF1Score(num_classes=10))
        >>> evaluator = EvaluationPlugin(matrix, loggers=[])
        >>> matrix.higher_is_better
        True
    """

    def __init__(self, measure: Measure, *, higher_is_better: bool | None = None) -> None:
        super().__init__()
        self._measurement = Measurement(measure, higher_is_better=higher_is_better)
        self.reset()

    @property
    def higher_is_better(self) -> bool:
        return self._measurement.higher_is_better

    def reset(self) -> None:
        self._n_begun = 0
        self._ended: list[int] = []  # the row of each training that ended
        self.order = TrainingOrder()
        self._cells: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)

    def result(self, stream: str = "test") -> Tensor:
        """R of a stream so far, float64, one row per trained experience.

        Raises:
            ValueError: No such stream was evaluated; the message lists those that were.
        """
        if stream not in self._cells:
            evaluated = sorted(self._cells)
            raise ValueError(f"no stream {stream!r} was evaluated after training, only {evaluated}")
        cells = self._cells[stream]
        shape = self.n_trained, max(j for _, j in cells) + 1
        matrix = torch.full(shape, float("nan"), dtype=torch.float64)
        for (i, j), value in cells.items():
            matrix[i, j] = value
        return matrix

    @property
    def n_trained(self) -> int:
        """Experiences trained so far, the rows of R."""
        return self._n_begun

    def rows(self, stream: str = "test") -> dict[int, int] | None:
        """The row in which each evaluated experience was learned last, by its index.

        None: it is not known which experiences belong together, see `TrainingOrder.learned_in`.
        """
        learned = self.order.learned_in(stream)
        return None if learned is None else {j: self._ended[k] for j, k in learned.items()}

    def cells(self) -> dict[str, dict[tuple[int, int], float]]:
        """What was measured, by stream and by (i, j); a NaN here was measured too."""
        return {stream: dict(cells) for stream, cells in self._cells.items()}

    def forgetting(self, stream: str = "test") -> Tensor:
        """How much worse each experience is since it was trained, shape (T,): positive is worse.

        In whatever order they were trained; one that was trained again counts from then on.

        Raises:
            ValueError: No such stream was evaluated, or an evaluated experience was not trained, or
                nothing tells which trained experience it belongs to.
        """
        R, rows = self.result(stream), self.rows(stream)
        if rows is None:
            raise ValueError(UNPAIRED)
        missing = sorted(set(range(R.shape[1])) - rows.keys())
        if missing:
            raise ValueError(
                "a row and a column of R per task are needed, but evaluated experiences were not "
                f"trained: {missing}"
            )
        learned = torch.stack([R[rows[j], j] for j in range(R.shape[1])])
        return excess(R[-1], learned, self.higher_is_better)

    def before_training_exp(self, strategy: Any) -> None:
        self._n_begun += 1

    def after_training_exp(self, strategy: Any) -> None:
        self._ended.append(self._n_begun - 1)
        self.order.after_training_exp(strategy)

    def before_eval_exp(self, strategy: Any) -> None:
        self.order.before_eval_exp(strategy)
        self._measurement.reset()

    def after_eval_iteration(self, strategy: Any) -> None:
        self._measurement.update(strategy.mb_output, strategy.mb_y)

    def after_eval_exp(self, strategy: Any) -> None:
        if self._n_begun:
            j = strategy.experience.current_experience
            stream = stream_type(strategy.experience)
            self._cells[stream][self.n_trained - 1, j] = self._measurement.result()

    def after_eval(self, strategy: Any) -> list[MetricValue] | None:
        if not self._n_begun:
            return None
        stream = stream_type(strategy.experience)
        phase, _ = phase_and_task(strategy)
        name = f"{self}/{phase}_phase/{stream}_stream"
        return [MetricValue(self, name, self.result(stream), strategy.clock.train_iterations)]

    def __str__(self) -> str:
        return f"{self._measurement.name}Matrix"


class MSEMatrix(ErrorMatrix):
    """`ErrorMatrix` of the MSE."""

    def __init__(self) -> None:
        super().__init__(MeanSquaredError())


class ErrorRateMatrix(ErrorMatrix):
    """`ErrorMatrix` of the share of samples that are misclassified."""

    def __init__(self) -> None:
        super().__init__(MisclassificationRate())
