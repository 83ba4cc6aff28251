"""Private attributes of Avalanche 0.6 and torch 2, each behind a function, with the reason.

Neither library has a public way to them. An update of either is checked here;
`tests/test_structure.py` finds other uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from avalanche.benchmarks.scenarios.dataset_scenario import DatasetExperience
from avalanche.benchmarks.utils.classification_dataset import _TensorClassificationDataset
from avalanche.benchmarks.utils.flat_data import ConstantSequence
from avalanche.training.supervised.icarl import _ICaRLPlugin
from avalanche.training.utils import _at_task_boundary
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors
from torch.autograd import Variable
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
    found = [getattr(flat, name).transform_groups.get(group) for name in names]
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


ICaRLExemplars = _ICaRLPlugin
"""What chooses and keeps the exemplars of Avalanche's ICaRL, which makes it itself."""


def vacate(layer: nn.Module, name: str, stand_in: Tensor) -> None:
    """Puts a buffer that is not saved where a parameter was. torch 2: only by deleting it first."""
    delattr(layer, name)
    layer.register_buffer(name, stand_in, persistent=False)


def fill(layer: nn.Module, name: str, value: Any, stand_in: type[Tensor]) -> Any:
    """Puts a value where a parameter, buffer or attribute is, and returns what was there.

    Where a buffer of the class `stand_in` is, the value becomes a parameter. torch 2: `setattr`
    refuses a plain tensor as one, and `functional_call` leaves it a buffer, which `parameters()`
    lack.
    """
    parameters, buffers = layer._parameters, layer._buffers
    if isinstance(buffers.get(name), stand_in):
        parameters[name] = value
        return buffers.pop(name)
    kept: Any = vars(layer)
    if name in buffers or name in parameters:
        kept = buffers if name in buffers else parameters
    before = kept[name]
    kept[name] = value
    return before


def empty(layer: nn.Module, name: str, before: Any, stand_in: type[Tensor]) -> Any:
    """Undoes `fill`, and returns what was there last."""
    parameters, buffers = layer._parameters, layer._buffers
    if isinstance(before, stand_in):
        buffers[name] = before
        return parameters.pop(name)
    return fill(layer, name, before, stand_in)


def forget_flat_weights(layer: Any) -> None:
    """Makes a recurrent layer forget the tensors of its last pass, and their graph.

    torch 2: it keeps them in a list beside its parameters, and looks at each pass if they changed.
    """
    layer._flat_weights = [getattr(layer, name, None) for name in layer._flat_weights_names]


def buffers_of(layer: nn.Module) -> dict[str, Any]:
    """The buffers that a layer has itself, as it keeps them.

    torch 2: setting one by its name would refuse what a user's code may have put there.
    """
    return layer._buffers


def own_parameters(layer: nn.Module) -> dict[str, Any]:
    """The parameters that a layer has itself, as it keeps them. torch 2: as for buffers."""
    return layer._parameters


def at_end_of_backward(function: Callable[[], None]) -> None:
    """Calls a function when the backward pass that runs now has ended; in a hook of a tensor.

    torch 2: no public hook comes after all gradients are there. What it raises, `backward` raises.
    """
    Variable._execution_engine.queue_callback(function)


def flattened(tensors: list[Tensor]) -> Tensor:
    """One vector of all entries of some dense tensors, in order.

    torch 2: what is public for that flattens one by one, at several times the cost.
    """
    return _flatten_dense_tensors(tensors)


def attributes_of(layer: nn.Module) -> dict[str, Any]:
    """The plain attributes of a layer that are not torch's own, by name.

    torch 2: modules keep their own in the same dictionary, unnamed anywhere.
    """
    return {name: value for name, value in vars(layer).items() if name not in _TORCH_S}


_TORCH_S = {*vars(nn.Module()), "_flat_weights", "_flat_weight_refs"}  # the latter of RNNs


def relabelled(experience: Any, label: int) -> Any:
    """An experience of the same samples, all with this task label.

    Avalanche's `task_incremental_benchmark` numbers the experiences of a whole benchmark; those
    of its older benchmarks have labels that cannot be set, and a dataset's `update_data_attribute`
    leaves the field of an attribute that is there as it was.
    """
    dataset = experience.dataset
    labels = ConstantSequence(label, len(dataset))
    dataset = dataset.update_data_attribute("targets_task_labels", labels)
    if "targets_task_labels" in vars(dataset):
        dataset.targets_task_labels = dataset._data_attributes["targets_task_labels"]
    labelled: Any = DatasetExperience(
        dataset=dataset, current_experience=experience.current_experience
    )
    labelled.origin_stream = experience.origin_stream
    labelled.task_label, labelled.task_labels = label, [label]
    labelled.classes_in_this_experience = getattr(experience, "classes_in_this_experience", None)
    return labelled
