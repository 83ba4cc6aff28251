"""What is kept for each task, by its label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from torch import Tensor, nn

from avalanche_hsf.models.tasks.call import parameter_key


class PerTask(nn.Module, MutableMapping[int, Any]):
    """Modules, or parameters, by task label, in order of arrival.

    Loading a `state_dict` makes the tasks that it names and drops the others. Those that are there
    already with tensors of the same names are filled in place, so that their optimizer goes on.
    What a loaded task lacks is made by `make(label, names of its stored tensors)`.

    Example:
        >>> layers = PerTask(lambda label, names: nn.Linear(3, 1))
        >>> layers[7] = nn.Linear(3, 1)
        >>> other = PerTask(lambda label, names: nn.Linear(3, 1))
        >>> other.load_state_dict(layers.state_dict())
        <All keys matched successfully>
        >>> other.labels
        [7]
    """

    __eq__, __hash__ = nn.Module.__eq__, nn.Module.__hash__  # a module, not a value

    def __init__(self, make: Callable[[int, set[str]], nn.Module | nn.Parameter]) -> None:
        super().__init__()
        self.make = make
        self._labels: dict[int, None] = {}  # as a set in order
        self.register_load_state_dict_pre_hook(_take_labels)

    @property
    def labels(self) -> list[int]:
        return list(self._labels)

    def __contains__(self, label: object) -> bool:
        return label in self._labels

    def __getitem__(self, label: int) -> Any:
        if label not in self._labels:
            raise KeyError(label)
        return getattr(self, str(label))

    def __setitem__(self, label: int, value: nn.Module | nn.Parameter) -> None:
        self._labels.setdefault(label)
        setattr(self, str(label), value)

    def __delitem__(self, label: int) -> None:
        del self._labels[label]
        delattr(self, str(label))

    def __iter__(self) -> Iterator[int]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def get_extra_state(self) -> list[int]:
        return self.labels

    def set_extra_state(self, state: list[int]) -> None:
        """Read by a hook before, since what is loaded next needs the tasks."""


def _take_labels(module: PerTask, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
    labels = state_dict.get(f"{prefix}_extra_state")
    if labels is None:
        return
    names = defaultdict(set)
    for name in state_dict:
        if name.startswith(prefix):
            label, _, rest = name[len(prefix) :].partition(".")
            names[label].add(rest)
    before = {label: module.pop(label) for label in list(module)}
    for label in labels:
        stored = names[str(label)]
        if label in before and _names(before[label]) == stored:
            module[label] = before[label]
        else:
            module[label] = module.make(label, stored)


def _names(value: nn.Module | nn.Parameter) -> set[str]:
    return set(value.state_dict()) if isinstance(value, nn.Module) else {""}


def check_has(label: int, labels: Collection[int], what: str) -> None:
    """Raises ValueError if a task is not among those that have something."""
    if label not in labels:
        raise ValueError(
            f"task {label} has no {what} yet, only {list(labels)} have; Avalanche strategies "
            "add it when they adapt the model, elsewhere call hypernetwork.add_task"
        )


def task_labels_of(experience: Any) -> list[int]:
    """The labels of an experience's tasks.

    Raises:
        ValueError: It has none.
    """
    labels = getattr(experience, "task_labels", None)
    if labels is None:
        raise ValueError(
            "a task-conditional model needs task labels, but the experience has none: build the "
            "benchmark with task_incremental_benchmark of avalanche.benchmarks, or add a "
            'TaskInferencePlugin(..., new_task="experience"), which gives each experience its own. '
            "benchmark_with_validation_stream and split_online_stream lose them: apply "
            "with_task_labels of avalanche.benchmarks to the streams that they return"
        )
    return list(labels)


def holding(tensors: Mapping[str, Tensor], *, trainable: bool = False) -> nn.Module:
    """A module with these tensors as buffers, or with copies of them as parameters."""
    holder = nn.Module()
    for name, tensor in tensors.items():
        key = parameter_key(name)
        if trainable:
            holder.register_parameter(key, nn.Parameter(tensor.detach().clone()))
        else:
            holder.register_buffer(key, tensor)
    return holder


def held(holder: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of such a module by the names that they were given with."""
    return {name: getattr(holder, parameter_key(name)) for name in names}
