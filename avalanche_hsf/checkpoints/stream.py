"""What a stream has, so that a checkpoint need not keep it, and what tells it from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from avalanche.benchmarks import OnlineCLExperience
from torch import Tensor

from avalanche_hsf.checkpoints.kinds import NAMED, SCALARS, attributes_of


def experiences_until(experience: Any) -> list[Any]:
    """The experiences of a training stream, up to one of them and with it.

    Of a part that `split_online_stream` has made, those of the stream that was split.
    """
    if isinstance(experience, OnlineCLExperience):
        experience = getattr(experience, "origin_experience", None) or experience
    stream = getattr(experience, "origin_stream", None)
    if stream is None:
        return [experience]
    return list(islice(iter(stream), experience.current_experience + 1))


def paths_in(experiences: Sequence[Any]) -> dict[int, list[Any]]:
    """Paths of all objects that are reached from the datasets of experiences, by identity."""
    paths: dict[int, list[Any]] = {}
    for i, experience in enumerate(experiences):
        todo: list[tuple[Any, list[Any]]] = [(experience.dataset, [i])]
        while todo:
            value, path = todo.pop()
            if id(value) in paths or isinstance(value, (*SCALARS, float)):
                continue
            paths[id(value)] = path
            todo += [(part, [*path, step]) for step, part in _parts(value)]
    return paths


def at_path(experiences: Sequence[Any], path: Sequence[Any]) -> Any:
    """The object at a path."""
    value = experiences[path[0]].dataset
    for step in path[1:]:
        value = dict(_parts(value))[step]
    return value


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """The objects that one holds, by a name or number; not the single numbers of long lists."""
    if isinstance(value, (Tensor, *NAMED)):
        return
    if isinstance(value, Mapping):
        yield from ((key, part) for key, part in value.items() if isinstance(key, (str, int)))
    elif isinstance(value, (list, tuple)):
        if not value or not isinstance(value[0], (*SCALARS, float)):
            yield from enumerate(value)
    else:
        yield from (attributes_of(value) or {}).items()


def fingerprint(experience: Any) -> str:
    """A digest of an experience's size, labels and first and last sample."""
    dataset = experience.dataset
    text = hashlib.sha256(str(len(dataset)).encode())
    for name in ("targets", "targets_task_labels"):
        labels = getattr(dataset, name, None)
        if labels is not None:
            text.update(repr([_plain(label) for label in labels]).encode())
    state = torch.random.get_rng_state()
    for i in (0, len(dataset) - 1) if len(dataset) else ():
        torch.manual_seed(0)  # for transformations that draw
        for part in dataset[i]:
            text.update(_bytes_of(part))
    torch.random.set_rng_state(state)
    return text.hexdigest()[:16]


def _plain(label: Any) -> Any:
    return label.tolist() if isinstance(label, Tensor) else label


def _bytes_of(part: Any) -> bytes:
    if isinstance(part, Tensor):
        return repr((tuple(part.shape), part.double().sum().item())).encode()
    return repr(part).encode() if isinstance(part, (int, float, str)) else b""
