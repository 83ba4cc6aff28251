"""What a stream has, so that a checkpoint need not keep it, and what tells it from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from avalanche.benchmarks import OnlineCLExperience
from torch import Tensor

from avalanche_hsf._private.avalanche import first_given_to_train
from avalanche_hsf.checkpoints.errors import CheckpointError
from avalanche_hsf.checkpoints.kinds import NAMED, SCALARS, attributes_of
from avalanche_hsf.generators import generators_kept

OTHER_STREAM = (
    "the checkpoint was made on other samples: make the benchmark, and what is split of it, with "
    "the seed that it had, and before resume, which sets the generators"
)


ITSELF = "the experience"
"""The step of a path that leads to an experience, not into its dataset."""


class Known:
    """The training experiences that are known so far, by number, and all that their datasets hold.

    Attributes:
        paths: Paths of these objects, by identity.
        prints: The fingerprint of each.
    """

    def __init__(self, experiences: Iterable[Any] = ()) -> None:
        self.paths: dict[int, list[Any]] = {}
        self.prints: dict[str, str] = {}
        self._experiences: dict[int, Any] = {}
        self.add(experiences)

    def add(self, experiences: Iterable[Any]) -> None:
        for experience in experiences:
            number, dataset = experience.current_experience, experience.dataset
            if number not in self._experiences:
                self._experiences[number] = experience
                self.prints[str(number)] = fingerprint(dataset)
                self._note(dataset, [number])

    def at(self, path: Sequence[Any]) -> Any:
        """The object at a path; CheckpointError if there is none."""
        try:
            value = self._experiences[path[0]]
            if path[1:] == [ITSELF]:
                return value
            value = value.dataset
            for step in path[1:]:
                value = dict(_parts(value))[step]
        except KeyError:
            raise CheckpointError(
                f"the checkpoint was made on another stream: experience {path[0]} has no "
                f"{'.'.join(map(str, path[1:]))} here"
            ) from None
        return value

    def check(self, prints: Mapping[str, str]) -> None:
        """Raises CheckpointError if experiences of the same number differ."""
        if any(prints[number] != self.prints[number] for number in prints.keys() & self.prints):
            raise CheckpointError(OTHER_STREAM)

    def _note(self, dataset: Any, path: list[Any]) -> None:
        todo = [(dataset, path)]
        while todo:
            value, path = todo.pop()
            if id(value) not in self.paths and not isinstance(value, (*SCALARS, float)):
                self.paths[id(value)] = path
                todo += [(part, [*path, step]) for step, part in _parts(value)]


def experiences_known(strategy: Any) -> list[Any]:
    """The training experiences up to the one that is trained, or is about to be.

    Of a slice, those of the whole stream; of a part that `split_online_stream` has made, those of
    the stream that was split.
    """
    experience = strategy.experience or first_given_to_train(strategy)
    if isinstance(experience, OnlineCLExperience):
        experience = getattr(experience, "origin_experience", None) or experience
    stream = getattr(experience, "origin_stream", None)
    if stream is None:
        return [] if experience is None else [experience]
    benchmark = getattr(stream, "benchmark", None)
    if stream.name != "train":  # it was given to be evaluated
        return list(getattr(benchmark, "train_stream", ()))
    whole = getattr(benchmark, "streams", {}).get(stream.name, stream)
    last = experience.current_experience
    return [*takewhile(lambda e: e.current_experience != last, whole), experience]


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


def fingerprint(dataset: Any) -> str:
    """A digest of size, labels, and first and last sample."""
    dataset = dataset.eval()
    text = hashlib.sha256(str(len(dataset)).encode())
    for name in ("targets", "targets_task_labels"):
        for label in getattr(dataset, name, ()):
            text.update(_bytes_of(label))
    for i in (0, len(dataset) - 1) if len(dataset) else ():
        with generators_kept(seed=0):  # a dataset may draw as it is read
            for part in dataset[i]:
                text.update(_bytes_of(part))
    return text.hexdigest()[:16]


def _bytes_of(part: Any) -> bytes:
    if isinstance(part, Tensor):
        return repr((tuple(part.shape), part.double().sum().item())).encode()
    return repr(part).encode() if isinstance(part, (int, float, str)) else b""
