"""The samples that each task of a run is measured on, and how they are found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avalanche_hsf.analysis.data import Data, Minibatch, spread_over
from avalanche_hsf.forensics.old_samples import OldSamples
from avalanche_hsf.generators import generators_kept
from avalanche_hsf.models.tasks.nested import map_tensors


class Task(NamedTuple):
    """What tells the samples of a task from others.

    Attributes:
        number: Of its experience in the stream.
        print: A digest of their number and of a few of them.
    """

    number: int
    print: str


class SamplesOfTasks:
    """The samples of the tasks trained so far, in their order.

    A checkpoint keeps which they are. The samples themselves are found again, by the index of
    their experience, in the stream that was given or in the benchmark in training.

    Args:
        stream: Experiences to measure on; None: those of the test stream, or of the training
            stream where there are none.
        n_samples: Samples of each task for the losses on old tasks.

    Attributes:
        tasks: Which tasks they are.
    """

    transient = ("stream", "_found", "_old")  # no part of checkpoints

    def __init__(self, stream: Sequence[Any] | None, n_samples: int) -> None:
        self.stream = stream
        self.n_samples = n_samples
        self.tasks: list[Task] = []
        self._found: dict[Task, tuple[Data, Minibatch]] = {}
        self._old: tuple[list[Task], OldSamples] = [], OldSamples()

    def add(self, experience: Any) -> bool:
        """Takes the samples of an experience that was trained; whether they are not its own."""
        index = experience.current_experience
        samples = next(_of_index(index, self._chosen(experience)), experience)
        task, few = self._look_at(index, samples)
        self._found[task] = samples, few
        self.tasks = [*self.tasks, task]
        return samples is not experience

    def find(self, experience: Any = None) -> None:
        """Finds what a checkpoint has left out.

        Args:
            experience: In training; None: there is none, and `stream` must have them.

        Raises:
            ValueError: There are no such samples, or they are others; says what to give.
        """
        for task in self.tasks:
            if task not in self._found:
                self._found[task] = self._again(task, experience)

    @property
    def data(self) -> list[Data]:
        """The samples of each task. Raises ValueError as `find`."""
        self.find()
        return [self._found[task][0] for task in self.tasks]

    @property
    def old(self) -> OldSamples:
        """A few of each task. Raises ValueError as `find`."""
        if self._old[0] != self.tasks:
            self.find()
            old = OldSamples()
            for task in self.tasks:
                old.add(self._found[task][1])
            self._old = list(self.tasks), old
        return self._old[1]

    def _again(self, task: Task, experience: Any) -> tuple[Data, Minibatch]:
        streams = [self._chosen(experience), *([] if experience is None else _training(experience))]
        seen = False
        for samples in _of_index(task.number, *streams):
            seen = True
            again, few = self._look_at(task.number, samples)
            if again == task:
                return samples, few
        what = f"the samples that experience {task.number} was measured on"
        if seen:
            raise ValueError(
                f"{what} before the run was stopped are not among those found now: make the "
                "benchmark as it was, without random transformations in evaluation, and give "
                "ForensicsPlugin the same `stream`"
            )
        raise ValueError(
            f"{what} are in no checkpoint, and not found again: give them to the plugin before "
            "resume, such as ForensicsPlugin(stream=benchmark.test_stream)"
        )

    def _chosen(self, experience: Any) -> Iterable[Any]:
        if self.stream is not None:
            return self.stream
        benchmark = getattr(_origin(experience), "benchmark", None)
        return getattr(benchmark, "test_stream", None) or ()

    def _look_at(self, index: int, samples: Data) -> tuple[Task, Minibatch]:
        """A few samples, the same ones at any time."""
        with generators_kept(seed=0):
            few = spread_over(samples, self.n_samples)
        return Task(index, _digest(len(getattr(samples, "dataset", ())), few)), few


def _of_index(index: int, *streams: Iterable[Any]) -> Iterator[Any]:
    for stream in streams:
        yield from (experience for experience in stream if experience.current_experience == index)


def _origin(experience: Any) -> Any:
    return getattr(experience, "origin_stream", None)


def _training(experience: Any) -> list[Iterable[Any]]:
    """The stream of an experience, as a whole even if a slice of it is trained."""
    stream = _origin(experience)
    if stream is None:
        return [[experience]]
    streams = getattr(getattr(stream, "benchmark", None), "streams", {})
    return [streams.get(stream.name, stream)]


def _digest(n: int, few: Minibatch) -> str:
    text = hashlib.sha256(str(n).encode())

    def add(tensor: Tensor) -> Tensor:
        text.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        text.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
        return tensor

    map_tensors(add, few)
    return text.hexdigest()[:16]
