"""The model as it was after each experience."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from avalanche.core import SupervisedPlugin
from torch import nn

from avalanche_hsf._private.avalanche import criterion_of
from avalanche_hsf.models import TaskWeights


class ModelRecorderPlugin(SupervisedPlugin):
    """Keeps a copy of the model after each training experience, for analysis afterwards.

    For any strategy with experiences, and any model that can be copied. All copies stay in memory.

    Attributes:
        models: The copies, in evaluation mode, in the order of training.
        criterion: The strategy's, of output and target.
    """

    def __init__(self) -> None:
        super().__init__()
        self.models: list[nn.Module] = []
        self.criterion: Any = None

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        model = deepcopy(strategy.model).eval()
        for module in model.modules():
            if isinstance(module, TaskWeights):
                module.commit()  # plugins that come after this one may do so
        self.models.append(model)
        self.criterion = criterion_of(strategy)

    def model_after(self, i: int) -> nn.Module:
        """The model after the i-th experience, from 0; negative numbers count from the end.

        Raises:
            ValueError: No such experience was recorded.
        """
        n = len(self.models)
        if not -n <= i < n:
            recorded = f"0 to {n - 1} were" if n else "none was: give the plugin to the strategy"
            raise ValueError(f"experience {i} was not recorded, {recorded}")
        return self.models[i]
