"""What a learner keeps between tasks, in numbers that can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks import CLExperience
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.logging import BaseLogger
from avalanche.models import NCMClassifier
from avalanche.training import DER, StreamingLDA
from avalanche.training.plugins import AGEMPlugin, EvaluationPlugin, GEMPlugin, RWalkPlugin
from avalanche.training.storage_policy import ReservoirSamplingBuffer
from avalanche.training.templates import BaseSGDTemplate
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from avalanche_hsf._private.avalanche import ICaRLExemplars
from avalanche_hsf.checkpoints.watcher import Watcher
from avalanche_hsf.models.memory import NO_STORAGE, Memory, address, extent, length, parts
from avalanche_hsf.training import (
    HSFStrategy,
    LatentReplayPlugin,
    RawReplayPlugin,
    TaskInferencePlugin,
)

BYTES_PER_FLOAT = 4


def floats_kept(strategy: Any) -> int:
    """Everything an Avalanche strategy keeps between two calls of `train`, in floats, rounded up.

    A float is 4 bytes; other types count by their size: a float64 is two floats, an int8 a
    quarter. Counted are all tensors that can be reached from the strategy, its model and its
    plugins: parameters and buffers, importances and former weights, former models, stored samples
    and data sets. Memory that tensors share counts once, so a sample whose target is itself counts
    once; a view counts without the rest of its memory.

    Not counted: the optimizer's state and what `SCRATCH` names, which are not needed between
    tasks; the evaluator, loggers and checkpoints; random generators; task labels; plain Python
    numbers; what functions hold.
    """
    return -(-_Kept(strategy).n_bytes() // BYTES_PER_FLOAT)


def bytes_kept(strategy: Any, bytes_per_input: int = BYTES_PER_FLOAT) -> int:
    """As `floats_kept`, in bytes, with raw samples at the size that they are stored in.

    Args:
        strategy: An Avalanche strategy.
        bytes_per_input: Bytes of a number of a raw sample, at least 1: 1 for images of 8 bits,
            which a learner need not keep as the floats that it is given.
    """
    kept = _Kept(strategy)
    return kept.n_bytes() - kept.n_bytes_saved(bytes_per_input)


def raw_samples_kept(strategy: Any) -> int:
    """Distinct training inputs that an Avalanche strategy keeps between two calls of `train`.

    They are the items of Avalanche data sets (replay buffers, accumulated data) and the rows of
    tensors in attributes whose name ends in `_x`, such as GEM's memory, or is iCaRL's `x_memory`.
    """
    return len(_Kept(strategy).samples)


_REPLAY_SCRATCH = frozenset({"_memory"})  # a copy of its storage_policy's buffer, stacked

SCRATCH: Mapping[type, frozenset[str]] = {
    BaseSGDTemplate: frozenset({"optimizer", "optimized_param_id", "evaluator"})
    | {"experience", "adapted_dataset", "dataloader", "mbatch", "mb_output", "loss"}
    | {"current_eval_stream", "_eval_streams"},
    HSFStrategy: frozenset({"mb_latents", "loss_terms"}),
    GEMPlugin: frozenset({"G"}),
    AGEMPlugin: frozenset({"reference_gradients"}),
    DER: frozenset({"batch_logits", "replay_loader"}),
    StreamingLDA: frozenset({"Lambda"}),  # the inverse of Sigma
    # Class means that the classifier has too, as one tensor.
    ICaRLExemplars: frozenset({"class_means"}),
    NCMClassifier: frozenset({"class_means_dict"}),
    TaskInferencePlugin: frozenset({"inferred", "_given"}),
    RWalkPlugin: frozenset(
        {"checkpoint_params", "checkpoint_loss", "checkpoint_scores", "iter_params", "iter_grad"}
    ),
    # Random keys that only matter when samples are added to the same buffer again.
    ReservoirSamplingBuffer: frozenset({"_buffer_weights"}),
    LatentReplayPlugin: _REPLAY_SCRATCH,
    RawReplayPlugin: _REPLAY_SCRATCH,
}
"""Attributes, by class, that training makes anew before it reads them: no storage."""

_TOOLS = (Optimizer, LRScheduler, EvaluationPlugin, BaseLogger, Watcher)


class _Kept:
    """One walk over a strategy: the memory of tensors, as intervals of addresses."""

    def __init__(self, strategy: Any) -> None:
        self.samples: set[tuple[str, int]] = set()
        self._memory = Memory()
        # Of raw samples among them, by the size of a number.
        self._inputs: dict[tuple[str, int], list[tuple[int, int]]] = {}
        # Holds items that a data set makes on the fly, or addresses would be given out twice.
        self._alive: list[Any] = []
        seen: set[int] = set()
        todo: list[tuple[str, Any]] = [("", strategy)]
        while todo:
            name, value = todo.pop()
            if isinstance(value, Tensor):
                self._memory.add(value)
                if (name.endswith("_x") or name == "x_memory") and value.dim() > 0:
                    self.samples.update(address(row) for row in value)
                    self._add_input(value)
            elif isinstance(value, np.ndarray):
                self._memory.add(value)
            elif isinstance(value, AvalancheDataset):
                self._add_items(value)
            elif id(value) not in seen and not isinstance(value, _TOOLS + NO_STORAGE):
                seen.add(id(value))
                todo.extend(_parts(name, value))

    def n_bytes(self) -> int:
        return self._memory.n_bytes()

    def n_bytes_saved(self, bytes_per_input: int) -> int:
        """Bytes that raw samples take less if a number of theirs takes so many."""
        return sum(
            length(intervals) // size * max(0, size - bytes_per_input)
            for (_, size), intervals in self._inputs.items()
        )

    def _add_input(self, tensor: Tensor) -> None:
        device, start = address(tensor)
        of_size = self._inputs.setdefault((device, tensor.element_size()), [])
        of_size.append((start, start + extent(tensor)))

    def _add_items(self, dataset: AvalancheDataset) -> None:
        for i in range(len(dataset)):
            item = dataset[i]
            self._alive.append(item)
            self.samples.add(address(item[0]))
            self._add_input(item[0])
            for tensor in filter(torch.is_tensor, item):
                self._memory.add(tensor)


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a value consists of, each part with the name of the attribute that leads there."""
    if isinstance(value, CLExperience):
        yield name, value.dataset  # it also knows the whole benchmark, which is not the learner's
        return
    scratch = {name for kind in type(value).__mro__ for name in SCRATCH.get(kind, ())}
    for key, part in parts(value):
        if key is None:
            yield name, part
        elif key not in scratch and not _is_known(key, part, vars(value)):
            yield key, part


def _is_known(key: str, part: Any, attributes: Mapping[str, Any]) -> bool:
    """Whether an attribute has the task labels of samples, or these samples again as targets."""
    stem, _, suffix = key.rpartition("_")
    inputs = attributes.get(f"{stem}_x")
    is_label = suffix == "tid" and inputs is not None
    return is_label or (suffix == "y" and inputs is not None and _equal(part, inputs))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b)
