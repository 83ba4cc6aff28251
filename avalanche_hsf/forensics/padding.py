"""The zeros with which Avalanche pads the scores of a head, which are no scores."""

from __future__ import annotations

import sys
from copy import copy
from typing import Any

from torch import Tensor, nn

from avalanche_hsf.analysis.errors import Criterion, or_default


def without_padding(model: nn.Module, criterion: Criterion | None) -> Criterion | None:
    """The criterion without those columns of the output, for a model of Avalanche's that pads.

    Avalanche 0.6 pads the scores of each task's head with zeros, to as many columns as the largest
    class seen so far. So the cross entropy on an old task rises with each new class, though nothing
    in the model has moved.

    Args:
        model: Any module.
        criterion: Of output and target; None: the cross entropy.
    """
    if "avalanche" not in sys.modules:  # then it cannot be one of Avalanche's
        return criterion
    from avalanche.models import MultiTaskModule

    pads = any(
        isinstance(module, MultiTaskModule) and hasattr(module, "max_class_label")
        for module in model.modules()
    )
    return _Unpadded(criterion) if pads else criterion


class _Unpadded:
    """A criterion of the columns up to the last one that is not zero in all rows."""

    def __init__(self, criterion: Criterion | None) -> None:
        self.criterion = criterion
        self.reduction = getattr(criterion, "reduction", "mean" if criterion is None else None)

    def __call__(self, output: Any, y: Any) -> Tensor:
        criterion: Any = or_default(self.criterion, y)
        if isinstance(self.reduction, str):
            criterion = copy(criterion)
            criterion.reduction = self.reduction
        loss: Tensor = criterion(_unpadded(output, y), y)
        return loss


def _unpadded(output: Any, y: Any) -> Any:
    are_scores = (
        isinstance(output, Tensor)
        and isinstance(y, Tensor)
        and output.dim() == 2
        and y.dim() == 1
        and not y.is_floating_point()
    )
    if not are_scores or not len(y):
        return output
    used = output.detach().ne(0).any(dim=0).nonzero()
    width = max(int(used[-1]) + 1 if len(used) else 0, int(y.max()) + 1)
    return output[:, :width]
