"""The parts of a model that may be blamed, chosen for a reader who names none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from torch import Tensor, nn

from avalanche_hsf.analysis import find_components
from avalanche_hsf.analysis.components import has_state, is_in, is_same
from avalanche_hsf.models.tasks.per_task import PerTask
from avalanche_hsf.models.tasks.slots import EmptySlot

STATISTICS = "normalization statistics"
"""The component of all running means and variances."""


def choose_components(model: nn.Module, *, at_most: int = 8) -> dict[str, list[str]]:
    """Layers as components: modules are opened, the largest first, while they are few enough.

    Running statistics of normalization layers are a component of their own, since they move
    without any gradient. Components that share a parameter are one.

    Args:
        model: Any module with parameters.
        at_most: Components; there are more only if the model has more children.

    Returns:
        Names of modules, parameters and buffers by component, as `find_components` takes them.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        >>> list(choose_components(model))
        ['0 (Linear)', '1 (BatchNorm1d)', '2 (Linear)', 'normalization statistics']
    """
    statistics = running_statistics(model)
    chosen, room = _children(model), at_most - bool(statistics)
    while fitting := [name for name in chosen if _fits(model, name, room - len(chosen))]:
        largest = max(fitting, key=lambda name: _size(model.get_submodule(name)))
        at = chosen.index(largest)
        chosen[at : at + 1] = _children(model, largest)
    components = {label_of(model, name): _without(model, name, statistics) for name in chosen}
    components = {name: parts for name, parts in components.items() if parts}
    if statistics:
        components[STATISTICS] = sorted(statistics)
    return find_components(model, _joined_by_sharing(model, components))


def running_statistics(model: nn.Module) -> set[str]:
    """The names of the buffers that normalization layers move without a gradient."""
    return {
        f"{path}.{name}".lstrip(".")
        for path, module in model.named_modules()
        if getattr(module, "running_mean", None) is not None
        for name, buffer in module.named_buffers(recurse=False)
        if not isinstance(buffer, EmptySlot)
    }


def moved_tensors(early: nn.Module, late: nn.Module, parts: Sequence[str]) -> list[str]:
    """The names of the parameters and buffers of a component that are not equal in both."""
    before, after = (dict(_tensors(model)) for model in (early, late))
    return [
        name
        for name, tensor in after.items()
        if is_in(name, parts) and (name not in before or not is_same(before[name], tensor))
    ]


def is_embedding(model: nn.Module, name: str) -> bool:
    """Whether a parameter is of an embedding, or is called one and belongs to no layer of torch."""
    path, _, last = name.rpartition(".")
    module = dict(model.named_modules()).get(path)
    if isinstance(module, (nn.ParameterList, nn.ParameterDict)):
        return "embedding" in path.rpartition(".")[2].lower()
    is_layer = type(module).__module__.startswith("torch.nn.modules.")
    return isinstance(module, (nn.Embedding, nn.EmbeddingBag)) or (
        "embedding" in last.lower() and not is_layer
    )


def label_of(model: nn.Module, name: str) -> str:
    """The name of a module; where that is a number, as in `nn.Sequential`, its class too."""
    is_number = name.rpartition(".")[2].isdigit()
    return f"{name} ({type(model.get_submodule(name)).__name__})" if is_number else name


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What a model holds itself; a hypernetwork's places are empty."""
    tensors = chain(
        model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    )
    return ((name, t) for name, t in tensors if not isinstance(t, EmptySlot))


def _children(model: nn.Module, path: str = "") -> list[str]:
    children = model.get_submodule(path).named_children()
    return [f"{path}.{name}".lstrip(".") for name, child in children if _holds_something(child)]


def _holds_something(module: nn.Module) -> bool:
    """A module whose weights a hypernetwork writes holds nothing itself."""
    tensors = [t for t in chain(module.parameters(), module.buffers()) if t.numel()]
    are_empty = bool(tensors) and all(isinstance(t, EmptySlot) for t in tensors)
    return has_state(module) and not are_empty


def _fits(model: nn.Module, name: str, room: int) -> bool:
    """Whether a module may be opened: it holds nothing itself, and its children are few enough."""
    module = model.get_submodule(name)
    own = chain(module.parameters(recurse=False), module.buffers(recurse=False))
    children = _children(model, name)
    if isinstance(module, (PerTask, nn.ModuleDict, nn.ParameterDict)):
        return False  # it grows by parts that an earlier state lacks
    return bool(children) and len(children) - 1 <= room and not any(p.numel() for p in own)


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _without(model: nn.Module, name: str, statistics: set[str]) -> list[str]:
    """The module itself, or the parts of it that are no running statistics."""
    if not any(is_in(statistic, [name]) for statistic in statistics):
        return [name]
    module = model.get_submodule(name)
    own = (path for path, _ in _tensors(module) if "." not in path)
    names = [f"{name}.{last}" for last in own if f"{name}.{last}" not in statistics]
    for child in _children(model, name):
        names += _without(model, child, statistics)
    return names


def _joined_by_sharing(
    model: nn.Module, components: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Components that hold one tensor, under two names, become one."""
    groups = {component: {component} for component in components}
    first_of: dict[int, str] = {}
    for name, tensor in _tensors(model):
        for component in (c for c, parts in components.items() if is_in(name, parts)):
            first = first_of.setdefault(id(tensor), component)
            if groups[first] is not groups[component]:
                both = groups[first] | groups[component]
                groups |= dict.fromkeys(both, both)
    joined: dict[str, list[str]] = {}
    for component in components:
        together = [c for c in components if c in groups[component]]
        joined[" and ".join(together)] = [part for c in together for part in components[c]]
    return joined
