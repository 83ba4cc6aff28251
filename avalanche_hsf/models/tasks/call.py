"""How a plain module runs on the weights that a hypernetwork writes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from avalanche_hsf.models.tasks.groups import TaskGroups


def call_per_task(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    groups: TaskGroups,
    *inputs: Tensor,
    **options: Any,
) -> Any:
    """Runs a module on a batch of k tasks with some of its tensors given for each task.

    One task runs as the plain module would; several run side by side (`torch.vmap`), each on its
    own rows. Tensors that are not given are the module's own, shared by all tasks. The output is
    what the module returns, in the order of the batch.

    Args:
        module: Any module whose forward maps tensors of n rows to tensors of n rows.
        weights: For names of the module's parameters a `k x *shape` tensor each.
        groups: Which rows belong to which task.
        *inputs: `n x *` tensors.
        **options: Further arguments of the module, the same for all tasks.

    Raises:
        ValueError: The module does not return n rows.

    Example:
        >>> groups = TaskGroups.from_labels(torch.tensor([7, 2, 7]), n=3)
        >>> weights = {"weight": torch.tensor([[[2.0]], [[7.0]]])}
        >>> call_per_task(nn.Linear(1, 1, bias=False), weights, groups, torch.ones(3, 1)).flatten()
        tensor([7., 2., 7.])
    """
    if not weights:
        return module(*inputs, **options)

    def one_task(tensors: dict[str, Tensor], *rows: Tensor) -> Any:
        out = functional_call(module, tensors, rows, options, tie_weights=False)
        for part in tensors_of(out):
            if part.shape[:1] != rows[0].shape[:1]:
                raise ValueError(
                    f"{type(module).__name__} returned shape {tuple(part.shape)} for "
                    f"{len(rows[0])} rows: a module with weights for each task must return one "
                    "row for each of its input; take means over the batch in the criterion"
                )
        return out

    if len(groups.tasks) == 1:
        return one_task({name: w.squeeze(0) for name, w in weights.items()}, *inputs)
    grouped = [groups.scatter(x) for x in inputs]
    per_task = vmap(one_task, randomness="different")  # dropout draws for each task
    return map_tensors(groups.gather, per_task(dict(weights), *grouped))


def map_tensors(function: Callable[..., Any], *outputs: Any) -> Any:
    """Applies a function to corresponding leaves of nested dictionaries, lists and tuples."""
    first = outputs[0]
    if isinstance(first, dict):
        mapped = copy.copy(first)
        for key in first:
            mapped[key] = map_tensors(function, *(out[key] for out in outputs))
        return mapped
    if isinstance(first, (list, tuple)):
        parts = [map_tensors(function, *group) for group in zip(*outputs, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return function(*outputs)


def tensors_of(output: Any) -> list[Tensor]:
    """The tensors that nested dictionaries, lists and tuples hold."""
    leaves: list[Any] = []
    map_tensors(leaves.append, output)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def release(module: nn.Module, name: str) -> Tensor:
    """Takes a parameter, by its name in a module, out of it and returns its values.

    In its place stays a buffer without memory of its own, so that the module moves between
    devices and does not count, save or optimize what a hypernetwork writes from now on.
    """
    *path, last = name.split(".")
    owner = module.get_submodule(".".join(path))
    values = getattr(owner, last).detach().clone()
    delattr(owner, last)
    owner.register_buffer(last, torch.zeros(()).expand(values.shape), persistent=False)
    return values


def parameter_key(name: str) -> str:
    """The name of a main network's tensor as that of a parameter, which must not have dots."""
    return name.replace(".", "/")
