"""The tensors of the tasks in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.models.tasks.call import parameter_key


class Drafts(nn.Module, MutableMapping[int, Mapping[str, nn.Parameter]]):
    """Parameters by name, for each task in training, by label.

    A parameter is called `of.<name>.<label>`. Avalanche gives a new parameter the optimizer's group
    of those whose names begin alike, so that a new task's tensor joins the group of the same
    tensor of the tasks before. An `anchor` without numbers keeps that group, and gives an
    optimizer that is made between two tasks something to hold.

    Args:
        like: A tensor of the shape and type of each, by name.

    Example:
        >>> drafts = Drafts({"weight": torch.ones(2, 3)})
        >>> drafts[7] = {"weight": torch.zeros(2, 3)}
        >>> [name for name, _ in drafts.named_parameters()]
        ['of.weight.anchor', 'of.weight.7']
    """

    __eq__, __hash__ = nn.Module.__eq__, nn.Module.__hash__  # a module, not a value

    def __init__(self, like: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.labels: list[int] = []
        self.shapes = {name: tuple(tensor.shape) for name, tensor in like.items()}
        self.of = nn.Module()  # apart, so that a tensor may be called as a method here
        self._holders: dict[str, Any] = {}
        for name, tensor in like.items():
            holder = nn.Module()
            holder.anchor = nn.Parameter(tensor.new_zeros(0, *tensor.shape[1:]))
            self.of.add_module(parameter_key(name), holder)
            self._holders[name] = holder
        self.register_load_state_dict_pre_hook(_take_labels)

    def __getitem__(self, label: int) -> dict[str, nn.Parameter]:
        if label not in self.labels:
            raise KeyError(label)
        key = str(label)
        return {name: getattr(holder, key) for name, holder in self._holders.items()}

    @torch.no_grad()
    def __setitem__(self, label: int, values: Mapping[str, Tensor]) -> None:
        """Makes the parameters of a task, or overwrites them in place."""
        if label in self.labels:
            for name, parameter in self[label].items():
                parameter.copy_(values[name])
            return
        self.labels.append(label)
        for name, holder in self._holders.items():
            setattr(holder, str(label), nn.Parameter(values[name].detach().clone()))

    def __delitem__(self, label: int) -> None:
        self.labels.remove(label)
        for holder in self._holders.values():
            delattr(holder, str(label))

    def rename(self, label: int, new: int) -> None:
        """Gives a task another label; its parameters stay the same objects."""
        self.labels[self.labels.index(label)] = new
        for holder in self._holders.values():
            parameter = getattr(holder, str(label))
            delattr(holder, str(label))
            setattr(holder, str(new), parameter)

    def __contains__(self, label: object) -> bool:
        return label in self.labels

    def __iter__(self) -> Iterator[int]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def blank(self) -> dict[str, Tensor]:
        """Zeros for each parameter, on its device and of its type."""
        return {n: self._holders[n].anchor.new_zeros(shape) for n, shape in self.shapes.items()}

    def dtype(self, name: str) -> torch.dtype:
        """Of a parameter."""
        return self._holders[name].anchor.dtype

    def get_extra_state(self) -> list[int]:
        return list(self.labels)

    def set_extra_state(self, state: list[int]) -> None:
        """Read by a hook before, since what is loaded next needs the tasks."""


def _take_labels(module: Drafts, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    labels = state.get(f"{prefix}_extra_state", module.labels)
    for label in set(module.labels).difference(labels):
        del module[label]
    for label in labels:
        if label not in module.labels:
            module[label] = module.blank()
    module.labels = list(labels)
