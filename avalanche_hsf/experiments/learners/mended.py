"""Classes of Avalanche 0.6 that need a mend to do what their name says here."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from avalanche.models.packnet import PackNetModel, WeightAndBiasPackNetModule
from avalanche.training.plugins import SynapticIntelligencePlugin
from torch import Tensor

from avalanche_hsf._private.avalanche import ICaRLExemplars, hold_pruned_weights
from avalanche_hsf.training.loading.in_memory import collected


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


class AllExemplars(ICaRLExemplars):
    """The exemplars of iCaRL, as many as its memory holds.

    In 0.6 herding ends after 1,000 steps, so no class has more exemplars, and steps that choose a
    sample for the second time are lost. Here each step takes the best of those that are left, and
    a class with fewer samples than its share has all of them.
    """

    @torch.no_grad()
    def construct_exemplar_set(self, strategy: Any) -> None:
        dataset = strategy.experience.dataset.eval()
        targets = torch.as_tensor(list(dataset.targets))
        share = self.memory_size
        if self.fixed_memory:
            share = ceil(share / len(self.observed_classes))
        for c in sorted(set(targets.tolist())):
            rows = (targets == c).nonzero().flatten().tolist()
            x = collected(dataset, rows)[0].to(strategy.device)
            features = torch.cat([strategy.model.feature_extractor(part) for part in x.split(1024)])
            chosen = _herded(torch.nn.functional.normalize(features, dim=1), min(share, len(x)))
            self.x_memory.append(x[chosen])
            self.y_memory.append([c] * len(chosen))
            self.order.append(torch.arange(1.0, len(chosen) + 1))


def _herded(features: Tensor, n: int) -> Tensor:
    """Rows in the order in which their mean comes closest to the mean of all."""
    mean = features.mean(dim=0)
    wanted, left = mean.clone(), torch.ones(len(features), dtype=torch.bool)
    chosen = []
    for _ in range(n):
        best = int((features @ wanted).masked_fill(~left, -torch.inf).argmax())
        left[best] = False
        chosen.append(best)
        wanted += mean - features[best]
    return torch.tensor(chosen)
