"""Private attributes of Avalanche 0.6."""

from __future__ import annotations

from typing import Any

from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.utils import as_taskaware_classification_dataset
from avalanche.benchmarks.utils.classification_dataset import _TensorClassificationDataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from avalanche.training.supervised.icarl import _ICaRLPlugin
from avalanche.training.utils import _at_task_boundary
from torch import Tensor
from torch.utils.data import DataLoader


def epoch_loader(loader: Any) -> DataLoader:
    """The torch loader of one epoch behind an Avalanche loader, with the sampler that balances
    tasks."""
    return loader._get_loader()


def flat_data(dataset: Any) -> Any:
    """The `FlatData` under an `AvalancheDataset`."""
    return dataset._flat_data


TensorsWithClasses = _TensorClassificationDataset
"""What Avalanche's `tensors_benchmark` puts tensors into: the class is a number in a sample."""


def parts_of(flat: Any) -> list[Any]:
    """The datasets that a `FlatData` concatenates."""
    return flat._datasets


def indices_of(flat: Any) -> Any:
    """Which rows of its concatenated datasets a `FlatData` has, as a sequence; None: all."""
    return flat._indices


def data_attributes_of(dataset: Any) -> dict[str, Any]:
    """What an `AvalancheDataset` knows of each sample, by name, such as its task label."""
    return dataset._data_attributes


def group_of(flat: Any, group: str | None) -> str | None:
    """The transformation group in which a `FlatData` reads, inside of one that reads in `group`.

    Those right inside of one that has groups follow it. Only some `FlatData` have any.
    """
    if not _grouped(flat):
        return None
    return getattr(flat, _GROUPS[-1]).current_group if group is None else group


def transformations_of(flat: Any, group: str | None) -> list[Any]:
    """What a `FlatData` applies to a sample in a group, in order."""
    names = _GROUPS if _grouped(flat) else ()
    # By `[]`: Avalanche's groups that are the same in all have a default, which `get` passes over.
    found = [getattr(flat, name)[group] for name in names]
    return [transformation for transformation in found if transformation is not None]


_GROUPS = ("_frozen_transform_groups", "_transform_groups")


def _grouped(flat: Any) -> bool:
    return getattr(flat, _GROUPS[-1], None) is not None


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


JOINT = "_experiences"
"""Where `JointTraining` holds the experiences that it trains on."""


def experiences_in_training(strategy: Any) -> list[Any]:
    """The experiences in training.

    `JointTraining` trains on all its experiences and shows plugins the first.
    """
    return getattr(strategy, JOINT, None) or [strategy.experience]


def first_given_to_train(strategy: Any) -> Any:
    """An experience that `train` was given, to be trained or evaluated; None outside of it.

    Before the first experience begins, nothing public says what is to come.
    """
    for stream in getattr(strategy, "_eval_streams", None) or ():
        for experience in stream:
            return experience
    return None


def hold_pruned_weights(module: Any) -> None:
    """Hooks that keep a PackNet layer's frozen weights from moving.

    The layer registers its hook once, and a copy of its parameter lacks it.
    """
    module.wrappee.weight.register_hook(module._remove_gradient_hook)


ICaRLExemplars = _ICaRLPlugin
"""What chooses and keeps the exemplars of Avalanche's ICaRL, which makes it itself."""


def relabelled(experience: Any, label: int) -> Any:
    """An experience of the same samples, all with this task label.

    Avalanche's `task_incremental_benchmark` numbers the experiences of a whole benchmark; those
    of its older benchmarks have labels that cannot be set, and a dataset's `update_data_attribute`
    leaves the field of an attribute that is there as it was.
    """
    dataset = experience.dataset
    # As a part of each sample, also where there was none before.
    labels = TaskLabels(ConstantSequence(label, len(dataset)))
    dataset = dataset.update_data_attribute("targets_task_labels", labels)
    if "targets_task_labels" in vars(dataset):
        dataset.targets_task_labels = dataset._data_attributes["targets_task_labels"]
    if not hasattr(dataset, "task_set"):  # what LwF asks for
        dataset = as_taskaware_classification_dataset(dataset)
    labelled: Any = DatasetExperience(
        dataset=dataset, current_experience=experience.current_experience
    )
    labelled.origin_stream = experience.origin_stream
    labelled.origin_experience = experience  # as parts have it: what this was in its stream
    labelled.task_label, labelled.task_labels = label, [label]
    labelled.classes_in_this_experience = getattr(experience, "classes_in_this_experience", None)
    return labelled
