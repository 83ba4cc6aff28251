"""Replay that mends, after each experience, what the experience harmed, on its memory."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training import Replay
from avalanche.training.plugins import ReplayPlugin
from torch import nn

from avalanche_hsf._private.avalanche import criterion_of
from avalanche_hsf.analysis import attribute_forgetting, errors_on
from avalanche_hsf.analysis.data import spread_over
from avalanche_hsf.experiments.learners.base import Setting
from avalanche_hsf.experiments.learners.forms import make_strategy, on_networks
from avalanche_hsf.forensics import blamed, choose_components, repair


class _RepairPlugin(SupervisedPlugin):
    """Fits the components that are blamed for what an experience forgot to the replay memory.

    The model before the experience is copied for as long as it lasts, and not kept. It stands
    before the `ReplayPlugin`, whose memory is then still of old tasks alone; of the new one, as
    many samples as of the last old one are fitted along.

    Args:
        lr: Of Adam.
    """

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self._before: nn.Module | None = None

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._before = deepcopy(strategy.model)

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        before, self._before = self._before, None
        memory = next(p for p in strategy.plugins if isinstance(p, ReplayPlugin)).storage_policy
        old = [group.buffer for group in memory.buffer_groups.values()]
        if not old or before is None:
            return
        model, criterion = strategy.model, criterion_of(strategy)
        training = model.training
        parts = choose_components(model)
        attributions = [
            attribute_forgetting(before, model, errors_on(task, criterion), components=parts)
            for task in old
        ]
        if components := blamed(attributions):
            new = [spread_over(strategy.experience.dataset, len(old[-1]))]
            options: dict[str, Any] = {"parts": parts, "criterion": criterion, "lr": self.lr}
            mended = repair(model, components, old, new=new, **options)
            model.load_state_dict(mended.model.state_dict())
        model.train(training)


def _make(setting: Setting, model: nn.Module, *, lr: float, **arguments: Any) -> Any:
    mem_size = setting.memory_beside(model)
    last = [_RepairPlugin(lr)]
    return make_strategy(Replay, setting, model, mem_size=mem_size, lr=lr, last=last, **arguments)


LEARNERS = on_networks("replay-repaired", _make, "Replay, what forgot refitted on its memory")
