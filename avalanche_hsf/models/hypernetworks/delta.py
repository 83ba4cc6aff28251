"""A hypernetwork that writes small changes to the weights of the first task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int, check_names, check_size
from avalanche_hsf.models.hypernetworks.adapters import Adapter, make_adapter
from avalanche_hsf.models.hypernetworks.base import HeldWeights, diverged
from avalanche_hsf.models.hypernetworks.code import TaskCode
from avalanche_hsf.models.hypernetworks.drafts import Drafts
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.tasks.call import parameter_key
from avalanche_hsf.models.tasks.per_task import PerTask, held, holding


class DeltaHyperNetwork(HeldWeights):
    r"""theta_t = theta_0 + delta(e_t): the weights of the first task, changed by a short code.

    The first task trains theta_0, which is frozen when another task comes. Every later task
    trains nothing but its code e_t, and once finished keeps it: old tasks do not change, by
    construction, and a task costs the length of its code, `code_size`, times the bits of a number.
    A task that was never trained is evaluated with theta_0.

    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, one adapter per task as in
    adapter-based continual learning; here the adapters' numbers are the task's embedding.

    Args:
        initial: Initial value of each tensor, by name; the first task starts there.
        adapter: The kind of change, see `make_adapter`.
        size: Of a change: the rank, or the numbers in a core; at least 1.
        bits: Bits kept of each number of a finished task's code, 2 to 16; None: float32.
        adapted: Prefixes of the names that later tasks change; the others stay as the first task
            left them.
        seed: Seed of fixed bases and of codes' first values; if None it is drawn from torch's
            global generator.

    Raises:
        ValueError: No tensor would be changed, or the kind of adapter is unknown.

    Example:
        >>> initial = {"weight": torch.ones(64, 64)}
        >>> hypernetwork = DeltaHyperNetwork(initial, adapter="low-rank", size=2, seed=0)
        >>> hypernetwork.add_task(0)
        >>> hypernetwork.add_task(1)
        >>> hypernetwork.code_size
        256
        >>> torch.equal(hypernetwork([1])["weight"], torch.ones(1, 64, 64))
        True
    """

    def __init__(
        self,
        initial: Mapping[str, Tensor],
        *,
        adapter: str = "low-rank",
        size: int = 4,
        bits: int | None = None,
        adapted: tuple[str, ...] = ("",),
        seed: int | None = None,
    ) -> None:
        super().__init__(initial)
        check_size("size of the adapters", size)
        adapted = check_names("adapted", adapted)
        if bits is not None and not 2 <= check_int("bits", bits, at_least=2) <= 16:
            raise ValueError(f"bits must be from 2 to 16, or None, got {bits}")
        self.bits = bits
        self.noise = SeededNoise(seed, stream=3)
        self.trunk = holding(initial, trainable=True)
        adapters: dict[str, Adapter] = {}
        for name, shape in self.shapes.items():
            if name.startswith(adapted):
                change = make_adapter(adapter, shape, size, self.noise.generator("cpu"))
                if change is not None:
                    adapters[parameter_key(name)] = change.to(initial[name])
        if not adapters:
            raise ValueError(
                f"later tasks could not change anything: no tensor's name begins with {adapted}; "
                f"the names are {list(self.shapes)}"
            )
        self.adapters: Any = nn.ModuleDict(adapters)
        self.code_size = sum(change.size for change in adapters.values())
        self.drafts = Drafts(self._start(draw=False))
        self.codes = PerTask(self._blank)
        self._current: list[int] = []

    def trains(self, label: int) -> bool:
        return label in self.drafts or (label in self._current and self._trunk_is_trained)

    def begin(self, labels: list[int]) -> None:
        """Freezes what other tasks rely on and makes the codes of these trainable."""
        labels = [check_int("a task label", label, at_least=0) for label in labels]
        if not self._in_use:
            labels = list(dict.fromkeys([*self._current, *labels]))
        self._close([label for label in self.drafts if label not in labels])
        if any(label not in labels for label in self.labels):
            self.trunk.requires_grad_(False)
            self.trunk.zero_grad()
        for label in labels:
            # The very first task has no code: it trains the trunk itself.
            has_trunk = self._trunk_is_trained and self.labels[:1] in ([], [label])
            if label not in self.drafts and not has_trunk:
                self.drafts[label] = self._parts(label, draw=True)
                self.codes.pop(label, None)
            if label not in self.labels:
                self.labels.append(label)
        self._current, self._in_use = labels, False

    def commit(self) -> None:
        """Rounds the codes in training to their bits and closes them.

        Raises:
            DivergedError: One has NaN or infinite entries; none is closed then.
        """
        self._close(list(self.drafts))

    def _close(self, labels: list[int]) -> None:
        for label in labels:
            if not all(bool(torch.isfinite(part).all()) for part in self.drafts[label].values()):
                raise diverged(label)
        for label in labels:
            self.codes[label] = TaskCode(self.drafts.pop(label), bits=self.bits)

    @torch.no_grad()
    def copy_task(self, source: int, target: int) -> None:
        self.check_known(source, target)
        if target not in self.drafts:
            raise ValueError(f"task {target} is not in training: its weights stay as they are")
        # A task without a code has the trunk's weights, where every new code starts.
        self.drafts[target] = self._parts(source, draw=True)

    def _write(self, tasks: list[int], prefix: str) -> dict[str, Tensor]:
        trunk = held(self.trunk, (name for name in self.shapes if name.startswith(prefix)))
        written = {name: W.expand(len(tasks), *W.shape) for name, W in trunk.items()}
        changed = [name for name in trunk if parameter_key(name) in self.adapters]
        if changed and any(label in self.codes or label in self.drafts for label in tasks):
            codes = [self._parts(label) for label in tasks]
            for name in changed:
                key = parameter_key(name)
                adapter = self.adapters[key]
                parts = {p: torch.stack([c[f"{key}/{p}"] for c in codes]) for p in adapter.shapes}
                written[name] = adapter(parts, trunk[name])
        return written

    @property
    def _trunk_is_trained(self) -> bool:
        return any(parameter.requires_grad for parameter in self.trunk.parameters())

    def _parts(self, label: int, *, draw: bool = False) -> Mapping[str, Tensor]:
        """The code of a task by tensor and part; a first code if it has none."""
        if label in self.drafts:
            return self.drafts[label]
        if label not in self.codes:
            return self._start(draw=draw)
        values = self.codes[label].values()
        return {name: value.to(self.drafts.dtype(name)) for name, value in values.items()}

    def _start(self, *, draw: bool) -> dict[str, Tensor]:
        """A code that changes nothing; training can start from one that is drawn."""
        generator = self.noise.generator("cpu") if draw else None
        like = dict(self.trunk.named_parameters())
        return {
            f"{key}/{part}": value
            for key, adapter in self.adapters.items()
            for part, value in adapter.start(like[key], generator).items()
        }

    def _blank(self, label: int, names: set[str]) -> TaskCode:
        return TaskCode(self._start(draw=False), bits=self.bits)

    @property
    def form(self) -> dict[str, Any]:
        adapters = {key: dict(change.shapes) for key, change in self.adapters.items()}
        return {"bits": self.bits, "adapters": adapters}

    def get_extra_state(self) -> dict[str, Any]:
        state = super().get_extra_state()
        return state | {"current": self._current, "open": self._trunk_is_trained}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self._current = list(state["current"])
        self.trunk.requires_grad_(state["open"])
