"""Classes of Avalanche 0.6 that need a mend to do what their name says here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.models.packnet import PackNetModel, WeightAndBiasPackNetModule
from avalanche.training.plugins import SynapticIntelligencePlugin

from avalanche_hsf._private import hold_pruned_weights


class PerSampleImportance(SupervisedPlugin):
    """Importances from gradients of single samples, as the papers of EWC and MAS define them.

    Avalanche's importance pass has batches of `train_mb_size`. With a full batch EWC's is the
    square of the mean gradient, not the mean of the squares: a thousandth of it, and noise, since
    the mean gradient vanishes where training ends.
    """

    def __init__(self) -> None:
        super().__init__()
        self._train_mb_size: int | None = None

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        if self._train_mb_size is not None:
            strategy.train_mb_size = self._train_mb_size

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._train_mb_size = strategy.train_mb_size
        strategy.train_mb_size = 1


class SynapticIntelligenceOnCPU(SynapticIntelligencePlugin):
    """Synaptic intelligence whose notes of the weights are copies.

    In 0.6 they are views of the weights on a CPU (`.detach().cpu()` copies nothing), so the plugin
    never sees a weight move, and all importances are exactly 0.
    """

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().before_training_exp(strategy, **kwargs)
        self._copy(self.ewc_data[0])

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        super().before_training_iteration(strategy, **kwargs)
        self._copy(self.syn_data["old_theta"])

    @staticmethod
    def _copy(notes: Mapping[str, Any]) -> None:
        for note in notes.values():
            note.data = note.data.clone()


class PackNetWithoutClasses(PackNetModel):
    """PackNet's wrapper without the class labels that Avalanche's `adaptation` looks for."""

    def adaptation(self, experience: Any) -> None:
        """Raises ValueError if a training task is not the next of 0, 1, 2, ..."""
        if self.training:
            labels = sorted({int(label) for label in getattr(experience, "task_labels", ())})
            if labels != [self.task_count]:
                raise ValueError(
                    f"PackNet takes task {self.task_count} next, one task per experience and each "
                    f"once, got task labels {labels}"
                )

    def __setstate__(self, state: Any) -> None:
        """A copy needs the hooks that hold frozen weights; copying a parameter drops them."""
        super().__setstate__(state)
        for module in self.modules():
            if isinstance(module, WeightAndBiasPackNetModule):
                hold_pruned_weights(module)
