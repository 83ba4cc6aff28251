"""Private attributes of torch 2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors
from torch.autograd import Variable

CHILDREN = "_modules"
"""Where a module holds its modules, by name."""


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


def version_of(tensor: Tensor) -> int:
    """How many times a tensor was written to; -1 for one of inference mode, which does not count.

    What is written through `tensor.data` is not counted either.
    """
    return -1 if tensor.is_inference() else tensor._version


def uncompiled(module: Any) -> Any:
    """What `torch.compile` wrapped. torch 2: it keeps it under a private name."""
    while isinstance(module, nn.Module) and hasattr(module, "_orig_mod"):
        module = module._orig_mod
    return module
