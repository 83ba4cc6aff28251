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


def find_head(model: nn.Module, minibatch: Minibatch) -> str | None:
    """The layer with weights that ran last, if its output is the model's."""
    output, y = pass_of(model, minibatch)
    if not are_classes(output, y):
        return None
    ran = outputs_of(model, lambda m: pass_of(m, minibatch))
    own = {
        name
        for name, module in model.named_modules()
        if any(True for _ in chain(module.parameters(recurse=False), module.buffers(recurse=False)))
    }
    last = [name for name in ran if name in own][-1:]
    return last[0] if last else None


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
