"""The layer that gives out the scores, and what it is given."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.analysis import outputs_of
from avalanche_hsf.analysis.data import Minibatch
from avalanche_hsf.analysis.errors import forward


@torch.no_grad()
def pass_of(model: nn.Module, minibatch: Minibatch) -> tuple[Any, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return forward(model.eval(), minibatch)


def find_head(model: nn.Module, minibatch: Minibatch) -> list[str]:
    """The layers that give out the scores, in the order in which they run.

    The output of the last one is the model's, or nothing with weights runs after it. Layers before
    it are among them if they give out scores too, which the next one scales or shifts.

    Returns:
        Names; none where it cannot be told.
    """
    output, y = pass_of(model, minibatch)
    if not are_classes(output, y):
        return []
    layers = {name: module for name, module in model.named_modules() if name and _is_layer(module)}
    ran = outputs_of(model, lambda m: pass_of(m, minibatch), list(layers), strict=False)
    last = [name for name, out in ran.items() if out.equal(output)]
    if not last:
        elsewhere = any(_holds(m) and name not in ran for name, m in model.named_modules())
        last = [] if elsewhere else list(ran)
    head = last[-1:]
    for name in reversed(list(ran)[: list(ran).index(head[0])] if head else []):
        if ran[name].shape != output.shape or not inputs_of(model, head[0], minibatch).equal(
            ran[name]
        ):
            break
        head.insert(0, name)
    return head


def _is_layer(module: nn.Module) -> bool:
    """Whether it holds something itself, and no other layer."""
    return _holds(module) and not any(
        name != "parametrizations" and any(True for _ in child.parameters())
        for name, child in module.named_children()
    )


def _holds(module: nn.Module) -> bool:
    own = chain(module.parameters(recurse=False), module.buffers(recurse=False))
    return any(True for _ in own) or hasattr(module, "parametrizations")


def inputs_of(model: nn.Module, layer: str, minibatch: Minibatch) -> Tensor:
    """What a layer is given."""
    seen: list[Tensor] = []

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen[:] = [part.detach() for part in inputs if isinstance(part, Tensor)][:1]

    handle = model.get_submodule(layer).register_forward_pre_hook(hook)
    try:
        pass_of(model, minibatch)
    finally:
        handle.remove()
    if not seen or len(seen[0]) != len(minibatch[1]):
        raise ValueError(f"{layer} is not given a row for each sample")
    return seen[0]


def are_classes(output: Any, y: Any) -> bool:
    return (
        isinstance(output, Tensor)
        and isinstance(y, Tensor)
        and not y.is_floating_point()
        and y.dim() == 1
        and output.dim() == 2
    )
