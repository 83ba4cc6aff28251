"""Parts of a model, and models put together from the parts of two others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf._private.torch import attributes_of, replace_part
from avalanche_hsf.checks import check_names, shown
from avalanche_hsf.models import SeededNoise
from avalanche_hsf.models.tasks.slots import EmptySlot

REST = "rest"
"""The component of everything that no other has."""

Components = Mapping[str, Sequence[str]] | Sequence[str]


def find_components(model: nn.Module, components: Components | None = None) -> dict[str, list[str]]:
    """The parts of each component of a model.

    Args:
        model: Any module.
        components: Names of modules, parameters or buffers inside it, each a component; or lists
            of them by component. Default: the children of the model.

    Returns:
        The names of modules, parameters and buffers by component. Tensors in none are in "rest".

    Raises:
        TypeError: A component is a string instead of a list of names.
        ValueError: An unknown name (the message lists the valid ones), one that two
            components have, a parameter shared by two components, or a model without parameters.

    Example:
        >>> find_components(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
        {'0': ['0'], '2': ['2']}
        >>> find_components(nn.Linear(2, 3), ["bias"])
        {'bias': ['bias'], 'rest': ['weight']}
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch module, got {shown(model)}")
    check_components(components)
    # Parameters and buffers that hold numbers, each under all its names.
    parameters = model.named_parameters(remove_duplicate=False)
    tensors = chain(parameters, model.named_buffers(remove_duplicate=False))
    named = [
        (name, tensor)
        for name, tensor in tensors
        if tensor.numel() > 0 and not isinstance(tensor, EmptySlot)
    ]
    if not named:
        raise ValueError(f"{type(model).__name__} has no parameters: nothing in it can forget")
    if components is None:
        components = [name for name, child in model.named_children() if has_state(child)]
    if not isinstance(components, Mapping):
        components = {name: [name] for name in components}
    owner = _owners(model, [name for name, _ in named], components)
    parts = {component: list(names) for component, names in components.items()}
    rest = [name for name, _ in named if name not in owner]
    if rest:
        parts[REST] = rest
    _check_shared(named, owner | dict.fromkeys(rest, REST))
    return parts


def check_components(components: object) -> None:
    """TypeError unless these are names, or lists of names by component, or None."""
    if isinstance(components, Mapping):
        for component, names in components.items():
            check_names(f"component {component!r}", names)
    elif components is not None:
        check_names("components", components)


def _owners(
    model: nn.Module, tensors: Sequence[str], components: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """The component of each tensor that is in one."""
    slots = [name for name, b in model.named_buffers() if isinstance(b, EmptySlot)]
    valid = {*tensors, *(name for name, _ in model.named_modules() if name)}
    owner: dict[str, str] = {}
    for component, name in ((c, name) for c, names in components.items() for name in names):
        if name not in valid:
            children = [child for child, _ in model.named_children()]
            raise ValueError(
                f"unknown name {name!r}; the model's children are {children}, its parameters and "
                f"buffers {tensors}"
            )
        within = [tensor for tensor in tensors if is_in(tensor, [name])]
        if not within and "." in name and any(is_in(slot, [name]) for slot in slots):
            raise ValueError(
                f"the weights of {name} are written by a hypernetwork, and it holds none itself; "
                f"choose from {', '.join(tensors)}"
            )
        for tensor in within:
            if owner.setdefault(tensor, component) != component:
                raise ValueError(
                    f"{tensor} is in two components, {owner[tensor]!r} and {component!r}"
                )
    return owner


def _check_shared(named: Sequence[tuple[str, Tensor]], owner: Mapping[str, str]) -> None:
    """Raises ValueError if one tensor has names in two components."""
    first_of: dict[int, str] = {}
    for name, tensor in named:
        twin = first_of.setdefault(id(tensor), name)
        if owner[twin] != owner[name]:
            raise ValueError(
                f"{twin} and {name} are one parameter, but in the components {owner[twin]!r} and "
                f"{owner[name]!r}: give components= in which they are in one"
            )


def parameters_of(
    model: nn.Module, components: Components | None = None
) -> dict[str, dict[str, nn.Parameter]]:
    """The parameters of each component, by name; see `find_components`."""
    named = dict(model.named_parameters())
    return {
        component: {name: p for name, p in named.items() if is_in(name, parts)}
        for component, parts in find_components(model, components).items()
    }


def fix_noise(model: nn.Module) -> None:
    """Puts every source of noise in a model to the start of its sequences."""
    for module in model.modules():
        if isinstance(module, SeededNoise):
            fresh = SeededNoise(module.seed, stream=module.stream)
            module.set_extra_state(fresh.get_extra_state())


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode, its noise to the start; afterwards all is as before."""
    training = [module for module in model.modules() if module.training]
    noise = [module for module in model.modules() if isinstance(module, SeededNoise)]
    before = [module.get_extra_state().clone() for module in noise]
    model.eval()
    fix_noise(model)
    try:
        yield
    finally:
        for source, state in zip(noise, before, strict=True):
            source.set_extra_state(state)
        for module in training:
            module.training = True


class Hybrid:
    """A model with some components as they were earlier and the others as they are later.

    A component is replaced as a whole, with its structure, so it may have grown in between.
    `components` are those that `find_components` finds in `early`.
    """

    def __init__(
        self, early: nn.Module, late: nn.Module, components: Mapping[str, Sequence[str]]
    ) -> None:
        self.components = dict(components)
        self.attributes: list[tuple[str, str]] = []
        self.early, self.late = deepcopy(early).eval(), deepcopy(late).eval()
        self.model = deepcopy(late).eval()

    def take_attributes(self) -> None:
        """Makes plain attributes that changed, of modules in no component, a part of "rest".

        Such as the number of classes that a model of Avalanche has seen.
        """
        parts = [name for names in self.components.values() for name in names]
        late = dict(self.late.named_modules())
        for path, module in self.early.named_modules():
            if path in late and not (path and is_in(path, parts)):
                before, after = attributes_of(module), attributes_of(late[path])
                self.attributes += [
                    (path, name)
                    for name, value in before.items()
                    if name in after and _is_plain(value) and not is_same(value, after[name])
                ]
        if self.attributes:
            self.components.setdefault(REST, [])

    def unmoved(self) -> set[str]:
        """The components whose state is the same in both, to the last bit."""
        return {
            component
            for component, names in self.components.items()
            if all(is_same(_part(self.early, name), _part(self.late, name)) for name in names)
            and not (component == REST and self.attributes)
        }

    def with_late(self, chosen: Collection[str]) -> nn.Module:
        """The model with these components as they are later, the others as they were.

        It is the same object at every call, and draws the same noise.
        """
        for component, names in self.components.items():
            source = self.late if component in chosen else self.early
            for name in names:
                path, _, last = name.rpartition(".")
                parent = self.model.get_submodule(path)
                if not replace_part(last, source.get_submodule(path), parent):
                    raise ValueError(f"the later model lacks {name!r}: it was taken out")
        source = self.late if REST in chosen else self.early
        for path, name in self.attributes:
            value = getattr(source.get_submodule(path), name)
            setattr(self.model.get_submodule(path), name, value)
        fix_noise(self.model)
        return self.model


def _is_plain(value: Any) -> bool:
    """A number, a text, a tensor, or some of these."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(_is_plain, value))
    return isinstance(value, (int, float, str, Tensor)) and not isinstance(value, nn.Parameter)


def _part(model: nn.Module, name: str) -> Any:
    """A module, parameter or buffer by its name; None if the model lacks it."""
    path, _, last = name.rpartition(".")
    try:
        return getattr(model.get_submodule(path), last, None)
    except AttributeError:
        return None


def is_same(a: Any, b: Any) -> bool:
    """Whether two modules, states or tensors are equal to the last bit."""
    if isinstance(a, nn.Module) and isinstance(b, nn.Module):
        return is_same(a.state_dict(), b.state_dict())
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    if isinstance(a, EmptySlot) or isinstance(b, EmptySlot):
        return type(a) is type(b)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b.to(a.device))
    return type(a) is type(b) and bool(a == b)


def is_in(name: str, parts: Sequence[str]) -> bool:
    """Whether a tensor of that name is one of the parts, or inside one."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def has_state(module: nn.Module) -> bool:
    """Whether anything in it could move; a source of noise is no part of a model."""
    return any(t.numel() > 0 for t in chain(module.parameters(), module.buffers())) or any(
        type(part).get_extra_state is not nn.Module.get_extra_state
        for part in module.modules()
        if not isinstance(part, SeededNoise)
    )
