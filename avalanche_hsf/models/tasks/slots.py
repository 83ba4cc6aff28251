"""The places of parameters that are written elsewhere: filled for a pass, empty between passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf._private.torch import empty, fill, forget_flat_weights, vacate


class EmptySlot(Tensor):
    """Stands where a parameter was, with its shape, type and device, and moves with the module.

    Whatever computes with it learns why it cannot.

    Args:
        name: Of the parameter, in its module.
        like: The parameter, or another slot of it.
    """

    path: str

    def __new__(cls, name: str, like: Tensor) -> EmptySlot:
        zero = torch.zeros((), dtype=like.dtype, device=like.device)
        slot = zero.expand(like.shape).as_subclass(cls)
        slot.path = name
        return slot

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"EmptySlot({self.path}, {tuple(self.shape)}, {self.dtype})"

    def __deepcopy__(self, memo: Any) -> EmptySlot:
        return EmptySlot(self.path, self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _slot, (self.path, self.shape, self.dtype, self.device)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        slots = [a for a in (*args, *(kwargs or {}).values()) if isinstance(a, cls)]
        name = slots[0].path if slots else "a parameter"
        called = getattr(function, "__name__", "")
        if called == "copy_":  # as averages of models do with every buffer
            return args[0]
        makes_another = called.startswith("new_") or called.endswith("_like")
        if called not in _HARMLESS and not makes_another:
            raise RuntimeError(_why(name))
        out = super().__torch_function__(function, types, args, kwargs or {})
        if isinstance(out, cls):
            if makes_another:
                return out.as_subclass(Tensor)
            out.path = name
        return out


_HARMLESS = {
    *("__get__", "__set__", "__hash__", "__len__", "size", "dim", "numel", "nelement", "stride"),
    *("is_floating_point", "is_complex", "is_contiguous", "element_size", "untyped_storage"),
    *("to", "type", "cpu", "cuda", "half", "bfloat16", "float", "double", "detach"),
    *("requires_grad_", "data_ptr", "as_subclass"),
    *("_is_view", "is_inference", "storage_offset", "is_neg", "is_conj"),  # asked by torch.compile
}


def _slot(name: str, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> EmptySlot:
    return EmptySlot(name, torch.zeros((), dtype=dtype, device=device).expand(shape))


def _why(name: str) -> str:
    return (
        f"{name} is written for each task, and something reads it outside of the module's forward "
        "pass. A part of the module must not be run again by the backward pass: put activation "
        "checkpointing around the whole model, checkpoint(model, x, task_labels, "
        "use_reentrant=False), and solve with sdeint or odeint, not their adjoint forms. Elsewhere "
        "read model.write(task_label, 1).weights[name]"
    )


def release(module: nn.Module, *names: str) -> Tensor:
    """Takes a parameter out of a module, of all the places it has there, and returns its values.

    Between passes its places are empty: the module moves between devices and does not count, save
    or optimize what a hypernetwork writes from now on.

    Args:
        module: The module that the names start from.
        *names: The parameter's names, as `named_parameters(remove_duplicate=False)` gives them.
    """
    path, _, last = names[0].rpartition(".")
    parameter = getattr(module.get_submodule(path), last)
    slot = EmptySlot(names[0], parameter)
    for name in names:
        path, _, last = name.rpartition(".")
        layer = module.get_submodule(path)
        vacate(layer, last, slot)
        if isinstance(layer, nn.RNNBase):
            forget_flat_weights(layer)
    return parameter.detach().clone()


class filled:
    """Runs a module with tensors in the places of these names, which are then as before.

    Entered, it gives a dictionary that holds afterwards, by name, what the pass put into such a
    place itself.

    Args:
        module: The module that the names start from.
        tensors: By the name of a released parameter, of a buffer or of an attribute.
    """

    def __init__(self, module: nn.Module, tensors: Mapping[str, Any]) -> None:
        self.module, self.tensors = module, tensors
        self.layers: dict[str, nn.Module] = {}
        self.put: list[tuple[str, nn.Module, str, Any]] = []
        self.replaced: dict[str, Any] = {}

    @torch.compiler.disable
    def __enter__(self) -> dict[str, Any]:
        layers = self.layers
        for name, tensor in self.tensors.items():
            path, _, last = name.rpartition(".")
            layer = layers.get(path)
            if layer is None:
                layer = layers[path] = _within(self.module, path)
            self.put.append((name, layer, last, fill(layer, last, tensor, EmptySlot)))
        return self.replaced

    @torch.compiler.disable
    def __exit__(self, *error: object) -> None:
        for name, layer, last, before in self.put:
            now = empty(layer, last, before, EmptySlot)
            if now is not self.tensors[name]:
                self.replaced[name] = now
        for layer in self.layers.values():
            if isinstance(layer, nn.RNNBase):
                forget_flat_weights(layer)


def _within(module: Any, path: str) -> Any:
    """`get_submodule`, without its checks, for each pass."""
    for part in path.split(".") if path else ():
        module = getattr(module, part)
    return module
