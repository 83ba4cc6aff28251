"""One task's network as a plain module, without the hypernetwork that writes it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from avalanche.models import MultiTaskModule
from torch import Tensor, fx, nn

from avalanche_hsf._private.torch import attributes_of, uncompiled
from avalanche_hsf.checks import check_int, shown
from avalanche_hsf.models.conditional import TaskConditional
from avalanche_hsf.models.hsf import HypernetSDEFlow
from avalanche_hsf.models.hsf_network import HSFNetwork
from avalanche_hsf.models.tasks.class_mask import ClassMask
from avalanche_hsf.models.tasks.nested import leaves
from avalanche_hsf.models.tasks.per_task import PerTask
from avalanche_hsf.models.tasks.slots import EmptySlot
from avalanche_hsf.models.written import TaskWritten


@torch.no_grad()
def export_task(model: nn.Module, task: int) -> nn.Module:
    """A copy of one task's network with ordinary parameters and buffers, called as `network(x)`.

    Of a `TaskConditional` it is of the class of the module that was wrapped, with the weights that
    the task has now and its running statistics; nothing of this package is in it, unless the
    module itself has layers from here. In evaluation mode its output is that of
    `model.eval()(x, task)`: on a CPU to the last bit, but within rounding for `nn.RNN` and, outside
    `no_grad`, `nn.TransformerEncoderLayer`, whose kernels go by whether weights require a gradient,
    and for what was compiled, which comes back uncompiled. With `masking` it is a
    `torch.fx.GraphModule` of that network, `network`, and of the task's classes, `mask`, which
    needs nothing of this package either.

    Of a `HypernetSDEFlow` it is an `HSFNetwork`, a class of this package, whose noise goes on from
    where the model's stands.

    Args:
        model: A `TaskConditional` or `HypernetSDEFlow`; it is not changed.
        task: The label of a task that it knows.

    Returns:
        The network, in evaluation mode, on the model's device. What was written for the task
        requires a gradient, the rest as in the model.

    Raises:
        TypeError: The model is another one, or its module cannot be copied.
        ValueError: The task is not known (the message lists those that are), or the module chooses
            among parts for each task itself (`PerTask`).

    Example:
        >>> model = TaskConditional(nn.Linear(3, 2), seed=0)
        >>> model.hypernetwork.add_task(4)
        >>> network, x = export_task(model, 4), torch.ones(1, 3)
        >>> network
        Linear(in_features=3, out_features=2, bias=True)
        >>> torch.equal(network(x), model.eval()(x, 4))
        True
    """
    model = uncompiled(model)
    if not isinstance(model, (TaskConditional, HypernetSDEFlow)):
        raise TypeError(_why_not(model))
    task = check_int("task", task, at_least=0)
    model.hypernetwork.check_known(task)
    is_flow = isinstance(model, HypernetSDEFlow)
    network = _copied(HSFNetwork(model) if is_flow else model.root)
    _fill(network, _written(model, task))
    if isinstance(model, TaskConditional) and model.statistics:
        _set(network, model.statistics(task, learn=False))
    network = uncompiled(network)
    if model.mask is not None and task in model.mask.classes_of:
        network = _masked(network, model.mask, task)
    return network.eval()


def _written(model: TaskConditional | HypernetSDEFlow, task: int) -> dict[str, nn.Parameter]:
    modes = {module: module.training for module in model.hypernetwork.modules()}
    model.hypernetwork.eval()
    try:
        weights = model.write(task, 1).weights
    finally:
        for module, training in modes.items():
            module.training = training
    return {
        name: nn.Parameter(w[0].clone(memory_format=torch.contiguous_format))
        for name, w in weights.items()
    }


def _copied(module: nn.Module) -> Any:
    """A deep copy; what a pass left in attributes is copied without its graph."""
    memo: dict[int, Any] = {}
    for path, layer in module.named_modules():
        if isinstance(layer, PerTask):
            raise ValueError(
                f"{path} keeps parts for each task (PerTask), and forward is not told the task: "
                "put one part there, and have the hypernetwork write it for each task"
            )
        for value in attributes_of(layer).values():
            for part in leaves(value):
                if isinstance(part, Tensor) and part.grad_fn is not None:
                    memo[id(part)] = part.detach().clone()
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:  # of whatever a user's module holds
        raise TypeError(
            f"{type(module).__name__} cannot be copied ({error}): leave out of its attributes "
            "what copy.deepcopy refuses"
        ) from error


def _fill(network: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    """Puts parameters where they were taken out; of tied ones, one into all places."""
    for name, slot in list(network.named_buffers(remove_duplicate=False)):
        if isinstance(slot, EmptySlot):
            _set(network, {name: parameters[slot.path]})


def _set(network: nn.Module, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        path, _, last = name.rpartition(".")
        layer = network.get_submodule(path)
        before = getattr(layer, last)
        if isinstance(before, nn.Parameter):
            value = nn.Parameter(value, before.requires_grad)
        setattr(layer, last, value)


def _masked(network: nn.Module, mask: ClassMask, task: int) -> nn.Module:
    """The network, and behind it, in torch's own operations, the mask of a task."""
    like = next(network.parameters())
    own = torch.tensor(sorted(mask.classes_of[task]), device=like.device)
    graph = fx.Graph()
    scores = graph.call_module("network", (graph.placeholder("x"),))
    classes = graph.get_attr("mask.classes")
    scores_of = graph.call_function(torch.index_select, (scores, 1, classes))
    masked = graph.call_function(torch.full_like, (scores, mask.VALUE))
    graph.output(graph.call_function(torch.index_copy, (masked, 1, classes, scores_of)))
    return fx.GraphModule({"network": network, "mask.classes": own}, graph)


def _why_not(model: object) -> str:
    name = type(model).__name__
    exported = "a TaskConditional or a HypernetSDEFlow can be exported"
    if not isinstance(model, nn.Module):
        return f"only {exported}, got {shown(model)}"
    if any(isinstance(part, TaskWritten) for part in model.modules() if part is not model):
        return f"only {exported}: give the one inside of the {name}"
    if isinstance(model, MultiTaskModule):
        return (
            f"{name} chooses heads or parts by the task label in its own forward, so no part of it "
            f"is one task's network: call model(x, task), or copy.deepcopy what the task uses; "
            f"only {exported}"
        )
    return f"{name} has the same weights for all tasks: use a copy.deepcopy of it; only {exported}"
