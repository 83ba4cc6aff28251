"""A hypernetwork with a set of weights for each task."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.models.hypernetworks.base import HeldWeights, diverged
from avalanche_hsf.models.hypernetworks.drafts import Drafts
from avalanche_hsf.models.tasks.per_task import PerTask, holding

_FIRST = -1  # the label of the draft before any task is known


class IsolatedHyperNetwork(HeldWeights):
    r"""A linear read-out of one-hot task embeddings: h(e_t) = W^T e_t, the t-th row of W.

    A task in training owns a draft of its weights, ordinary parameters (`drafts`). When the draft
    is committed it becomes the task's row, and no other row is touched: what a finished task
    writes is the same to the last bit, whatever is learned later. The price is a row, a full set
    of weights, per task: these are separate networks in one model.

    Drafts are committed when training moves on to other tasks, or by `commit`. A new task starts
    at the weights of the task before it. A task that was never trained is evaluated with those of
    the first one.

    Args:
        initial: Initial value of each tensor to write, by name; the first task starts there.
        seed: Not used, nothing is drawn; taken so that all kinds are made alike.

    Example:
        >>> hypernetwork = IsolatedHyperNetwork({"weight": torch.ones(64, 3)})
        >>> hypernetwork.add_task(0)
        >>> hypernetwork.commit()
        >>> torch.equal(hypernetwork([0])["weight"], torch.ones(1, 64, 3))
        True
    """

    def __init__(self, initial: Mapping[str, Tensor], *, seed: int | None = None) -> None:
        super().__init__(initial)
        self.drafts = Drafts(initial)
        self.rows = PerTask(self._blank)
        # There from the start, so that an optimizer can be made before the first task is known.
        self.drafts[_FIRST] = initial

    def trains(self, label: int) -> bool:
        return label in self.drafts

    def begin(self, labels: list[int]) -> None:
        """Commits the drafts of all other tasks, if they were in use, and opens drafts of these."""
        if not self._in_use:
            labels = [*self._in_training, *labels]
        labels = [check_int("a task label", label, at_least=0) for label in labels]
        new = [label for label in dict.fromkeys(labels) if label not in self.labels]
        self.commit([label for label in self._in_training if label not in labels])
        for label in new:
            if self.labels:
                self._open(label, self._theta(self.labels[-1]))
            else:
                self.drafts.rename(_FIRST, label)
            self.labels.append(label)
        for label in labels:
            if label not in self.drafts:
                self._open(label, self._theta(label))
        self._in_use = False

    @torch.no_grad()
    def copy_task(self, source: int, target: int) -> None:
        self.check_known(source, target)
        if target not in self.drafts:
            raise ValueError(f"task {target} is not in training: its weights stay as they are")
        self._open(target, self._theta(source))

    def _write(self, tasks: list[int], prefix: str) -> dict[str, Tensor]:
        first = next(iter(self.labels), _FIRST)
        labels = [label if label in self.labels else first for label in tasks]
        if len(labels) == 1 and labels[0] in self.drafts:
            written = {name: part.unsqueeze(0) for name, part in self.drafts[labels[0]].items()}
        else:
            written = self._split(torch.stack([self._theta(label) for label in labels]))
        return {name: written[name] for name in self.shapes if name.startswith(prefix)}

    @torch.no_grad()
    def commit(self, labels: list[int] | None = None) -> None:
        """Makes drafts the rows of their tasks, and closes them; default: all.

        Raises:
            DivergedError: A draft has NaN or infinite entries; none is taken in then.
        """
        labels = self._in_training if labels is None else labels
        for label in labels:
            if not bool(torch.isfinite(self._theta(label)).all()):
                raise diverged(label)
        for label in labels:
            self.rows[label] = holding({"theta": self._theta(label)})
            del self.drafts[label]

    @property
    def _in_training(self) -> list[int]:
        return [label for label in self.drafts if label != _FIRST]

    def _split(self, thetas: Tensor) -> dict[str, Tensor]:
        """The tensors of k tasks by name, `k x *shape`, from a row of all weights for each."""
        parts = thetas.split([prod(shape) for shape in self.shapes.values()], dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {n: part.view(-1, *shape).to(self.drafts.dtype(n)) for (n, shape), part in named}

    def _theta(self, label: int) -> Tensor:
        """All weights of a task as one vector."""
        if label not in self.drafts:
            return self.rows[label].theta
        parts = [part.flatten() for part in self.drafts[label].values()]
        return torch.cat(parts)  # of the type that holds them all

    def _open(self, label: int, theta: Tensor) -> None:
        """Makes a draft, or overwrites it in place."""
        self.drafts[label] = {n: part[0] for n, part in self._split(theta.unsqueeze(0)).items()}

    def _blank(self, label: int, names: set[str]) -> nn.Module:
        return holding(
            {"theta": torch.cat([part.flatten() for part in self.drafts.blank().values()])}
        )
