"""How a plain module runs on the weights that a hypernetwork writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from torch import Tensor, nn
from torch.func import vmap

from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.nested import map_tensors, n_rows, tensors_of, with_tensors
from avalanche_hsf.models.tasks.slots import filled


def call_per_task(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    groups: TaskGroups,
    *inputs: Any,
    **options: Any,
) -> Any:
    """Runs a module on a batch of k tasks with some of its tensors given for each task.

    One task runs as the plain module would; several run side by side (`torch.vmap`), each on its
    own rows, with copies of rows where a task has fewer than another: of use for modules whose
    answer for a row depends on that row alone. Tensors that are not given are the module's own,
    shared by all tasks. The output is what the module returns, in the order of the batch.

    Args:
        module: Any module whose forward maps tensors of n rows to tensors of n rows.
        weights: For names of the module's parameters or buffers a `k x *shape` tensor each.
        groups: Which rows belong to which task.
        *inputs: `n x *` tensors, or nested dictionaries, lists and tuples of them.
        **options: Further arguments of the module, the same for all tasks.

    Raises:
        ValueError: An input has not n rows in a batch of several tasks, or an output never.

    Example:
        >>> import torch
        >>> groups = TaskGroups.from_labels(torch.tensor([7, 2, 7]), n=3)
        >>> weights = {"weight": torch.tensor([[[2.0]], [[7.0]]])}
        >>> call_per_task(nn.Linear(1, 1, bias=False), weights, groups, torch.ones(3, 1)).flatten()
        tensor([7., 2., 7.])
    """
    if not weights:
        return module(*inputs, **options)
    if len(groups.tasks) == 1:
        with filled(module, {name: w.squeeze(0) for name, w in weights.items()}):
            out = module(*inputs, **options)
        return checked_rows(module, out, n_rows(inputs))
    given = tensors_of(inputs)

    def one_task(of_task: dict[str, Tensor], *rows: Tensor) -> Any:
        with filled(module, of_task):
            out = module(*with_tensors(inputs, list(rows)), **options)
        return checked_rows(module, out, n_rows(list(rows)))

    grouped = [groups.scatter(x) for x in given]
    per_task: Callable[..., Any] = vmap(one_task, randomness="different")  # dropout by task
    return map_tensors(groups.gather, per_task(dict(weights), *grouped))


def checked_rows(module: nn.Module, out: Any, n: int) -> Any:
    """The output; ValueError if one of its tensors has not n rows."""
    for part in tensors_of(out):
        if part.shape[:1] != (n,):
            raise ValueError(
                f"{type(module).__name__} returned shape {tuple(part.shape)} for {n} rows: a "
                "module with weights for each task must return one row for each of its input, in "
                "the first dimension of every tensor; leave out what is not, such as the last "
                "state of an LSTM, and take means over the batch in the criterion"
            )
    return out


@cache
def parameter_key(name: str) -> str:
    """The name of a main network's tensor as that of a parameter, which must not have dots."""
    key = name.replace("/", "//").replace(".", "/")
    return f"/{key}" if hasattr(nn.ModuleDict, key) else key  # a tensor may be called "keys"
