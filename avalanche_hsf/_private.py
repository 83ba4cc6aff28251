"""Private attributes of Avalanche 0.6 and torch 2, each behind a function, with the reason.

Neither library has a public way to them. An update of either is checked here;
`tests/test_structure.py` finds other uses.
"""

from __future__ import annotations

from typing import Any

from avalanche.training.utils import _at_task_boundary
from torch import Tensor, nn
from torch.utils.data import DataLoader


def epoch_loader(loader: Any) -> DataLoader:
    """The torch loader of one epoch behind an Avalanche loader, with the sampler that balances
    tasks."""
    return loader._get_loader()


def flat_data(dataset: Any) -> Any:
    """The `FlatData` under an `AvalancheDataset`."""
    return dataset._flat_data


def parts_of(flat: Any) -> list[Any]:
    """The datasets that a `FlatData` concatenates."""
    return flat._datasets


def is_transformed(flat: Any) -> bool:
    """Whether a `FlatData` has a transformation now. Only some `FlatData` have groups."""
    for name in ("_transform_groups", "_frozen_transform_groups"):
        groups = getattr(flat, name, None)
        if groups is not None and groups[groups.current_group] is not None:
            return True
    return False


def ends_a_task(experience: Any) -> bool:
    """Whether no part of the same online experience follows."""
    return _at_task_boundary(experience, before=False)


def criterion_of(strategy: Any) -> Any:
    """The criterion of output and target that a strategy was given.

    The public `criterion()` takes no arguments.
    """
    return strategy._criterion


def unpacked(strategy: Any, minibatch: Any) -> tuple[Tensor, Tensor, Tensor]:
    """x, y and task labels of a minibatch as the strategy would see them, on its device.

    The unpacking can be had only by way of the strategy's own `mbatch`.
    """
    before = getattr(strategy, "mbatch", None)
    strategy.mbatch = minibatch
    strategy._unpack_minibatch()
    x, y, task_labels = strategy.mb_x, strategy.mb_y, strategy.mb_task_id
    strategy.mbatch = before
    return x, y, task_labels


def experiences_in_training(strategy: Any) -> list[Any]:
    """The experiences in training.

    `JointTraining` trains on all its experiences and shows plugins the first.
    """
    return getattr(strategy, "_experiences", None) or [strategy.experience]


def replace_part(name: str, source: nn.Module, target: nn.Module) -> bool:
    """Puts a module, parameter or buffer of one module into another; False if there is none.

    `setattr` refuses a buffer or parameter where the kinds differ, and one that is None.
    """
    for kind in ("_modules", "_parameters", "_buffers"):
        parts = getattr(source, kind)
        if name in parts:
            getattr(target, kind)[name] = parts[name]
            return True
    return False


def hold_pruned_weights(module: Any) -> None:
    """Hooks that keep a PackNet layer's frozen weights from moving.

    The layer registers its hook once, and a copy of its parameter lacks it.
    """
    module.wrappee.weight.register_hook(module._remove_gradient_hook)
