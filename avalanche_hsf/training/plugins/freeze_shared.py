"""Shared layers frozen after the first task."""

from __future__ import annotations

from typing import Any

from torch import nn

from avalanche_hsf.checks import check_names
from avalanche_hsf.models import TaskWeights
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.tasks import current_tasks


class FreezeSharedPlugin(Protection):
    """Freezes every parameter outside the hypernetwork when a second task comes.

    All tasks run through the shared layers, and nothing else protects them: the weights written
    for an old task fit the layers as they were then. Frozen parameters have no gradient, so
    neither momentum nor weight decay moves them. Nothing is frozen while the stream goes on with
    its first tasks, as in the parts that `split_online_stream` makes of an experience.

    For any supervised strategy whose model has a hypernetwork. Stores nothing between tasks.

    Source: progressive networks, Rusu et al. 2016, https://arxiv.org/abs/1606.04671

    Args:
        trainable: Prefixes of parameter names that go on training, such as "flow." whose
            output does not reach the reconstruction.
    """

    needs = TaskWeights

    def __init__(self, trainable: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.trainable = check_names("trainable", trainable)

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises, before any training, if there is no hypernetwork or no such parameter."""
        super().before_training_exp(strategy, **kwargs)
        names = [name for name, _ in strategy.model.named_parameters()]
        for prefix in self.trainable:
            if not any(name.startswith(prefix) for name in names):
                raise ValueError(f"no parameter's name begins with {prefix!r}; choose from {names}")
        if not current_tasks(strategy).issuperset(self.hypernetwork(strategy).tasks):
            self._freeze(strategy.model)

    def _freeze(self, model: nn.Module) -> None:
        hypernetworks = [m for m in model.modules() if isinstance(m, TaskWeights)]
        generators = {id(p) for hypernetwork in hypernetworks for p in hypernetwork.parameters()}
        for name, parameter in model.named_parameters():
            if id(parameter) not in generators and not name.startswith(self.trainable):
                parameter.requires_grad_(False)
                parameter.grad = None
