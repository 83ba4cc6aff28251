"""Fast minibatches for any strategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import AGEMPlugin

from avalanche_hsf.training.loading.in_memory import in_memory


class InMemoryLoadingPlugin(SupervisedPlugin):
    """Cuts minibatches from arrays in memory where that changes nothing but the time.

    For any supervised strategy. The strategy's data loader is replaced by `in_memory(loader)`
    before the first epoch of an experience, so after `ReplayPlugin` and its like have made theirs;
    so are the loader of A-GEM's memory and, before each evaluation of an experience, that of its
    samples. Minibatches, their order and the random generators stay the same, to the bit; a loader
    that cannot be handled exactly is left alone. What can: tensors, and torchvision's MNIST and
    CIFAR and their like, as in Avalanche's `SplitMNIST`, unless a transformation draws at random,
    as the default one for training on Avalanche's `SplitCIFAR10` does, and classes of a user's own
    are left to Avalanche. Keeps nothing between experiences. Arrays, targets and transformations
    must stay as they are while an experience is trained: what changes between its epochs, such as
    labels with new noise, may not be seen.
    """

    transient = ("_loader",)

    def __init__(self) -> None:
        super().__init__()
        self._loader: Any = None

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Replaces the loaders, if this has not been done in this experience."""
        if strategy.dataloader is self._loader:
            return
        strategy.dataloader = self._loader = in_memory(strategy.dataloader)
        for plugin in strategy.plugins:
            if isinstance(plugin, AGEMPlugin) and plugin.buffer_dataloader is not None:
                # Made anew after each experience, so nothing was taken from it yet.
                plugin.buffer_dliter = _batches(in_memory(plugin.buffer_dataloader))

    def before_eval_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Replaces the loader of an evaluation."""
        strategy.dataloader = in_memory(strategy.dataloader)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Lets the loader and its data go."""
        self._loader = None


def _batches(loader: Any) -> Iterator[Any]:
    """Starts, and draws its seed, at the first batch and not before, as Avalanche's does."""
    yield from loader
