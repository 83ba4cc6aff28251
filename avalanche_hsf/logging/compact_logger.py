"""A terminal logger with a few lines per experience."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from avalanche.evaluation.metric_utils import stream_type
from avalanche.logging import TextLogger


class CompactLogger(TextLogger):
    """Avalanche's `TextLogger` without a line per epoch: metrics as each experience, and each
    evaluation, ends.

    Of metrics that come with each epoch or minibatch it prints the last. In a terminal a line that
    is written over shows the epoch. Numbers have four digits, so that small errors are no zeros.

    Args:
        file: Where to print; None: standard output.

    Example:
        >>> from avalanche.training.plugins import EvaluationPlugin
        >>> from avalanche_hsf.evaluation import mse_metrics
        >>> evaluator = EvaluationPlugin(mse_metrics(stream=True), loggers=[CompactLogger()])
    """

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__(file=sys.stdout if file is None else file)

    def before_training(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None:
        """Prints nothing, here and below where Avalanche's own announces what comes."""

    def before_training_exp(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None: ...

    def after_training_epoch(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None:
        if self.file.isatty():
            now = f"Experience {strategy.experience.current_experience}, epoch"
            print(f"\r{now} {strategy.clock.train_exp_epochs + 1}", end="", file=self.file)

    def after_training_exp(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None:
        epochs = strategy.clock.train_exp_epochs
        start = "\r" if self.file.isatty() else ""
        ended = f"{start}Training on experience {strategy.experience.current_experience} ended"
        self._print(f"{ended} after {epochs} epoch{'s' * (epochs != 1)}.")

    def after_training(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None: ...

    def before_eval(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None: ...

    def before_eval_exp(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None: ...

    def after_eval_exp(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None: ...

    def after_eval(self, strategy: Any, metric_values: Any, **kwargs: Any) -> None:
        self._print(f"Evaluation on the {stream_type(strategy.experience)} stream ended.")

    def _print(self, heading: str) -> None:
        print(heading, file=self.file)
        self.print_current_metrics()
        self.metric_vals: dict[str, Any] = {}

    def _val_to_str(self, m_val: Any) -> str:
        return f"{m_val:.4g}" if isinstance(m_val, float) else super()._val_to_str(m_val)
