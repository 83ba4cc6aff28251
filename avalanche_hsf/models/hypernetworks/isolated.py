"""A hypernetwork whose old outputs stay put when a new task is learned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from math import prod
from typing import Any

import torch
from torch import Tensor

from avalanche_hsf.checks import check_int, check_memory, check_size
from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.models.hypernetworks.base import WAY_OUT, HeldWeights, diverged
from avalanche_hsf.models.hypernetworks.drafts import Drafts
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.tasks.precise import Precise

_FIRST = -1  # the label of the draft before any task is known


class IsolatedHyperNetwork(Precise, HeldWeights):
    r"""A linear read-out of fixed random features of a fixed random embedding: h(e) = W^T phi(e).

    phi(e) = [tanh(A e + a), 1]; A, a and the embeddings are drawn once and never trained. A task
    in training owns a draft of its weights theta, ordinary parameters (`drafts`). When the draft
    is committed the read-out takes it in along a direction that no other task sees:

    W += q (theta - W^T phi_t)^T / (q . phi_t),  q = phi_t minus its part in span{phi_k, k != t}

    so that h(e_t) = theta and h(e_k) is unchanged, up to rounding (relative to the weights about
    6e-7 with 40 tasks, 4e-6 with 200, 3e-5 with 500). Exact; the price is a row of W, a full set
    of weights, per task. A task's embedding is that of many random ones whose phi_t lies farthest
    from the span of the others; capacity grows by a feature when there are more tasks than
    features, or when even that one lies too close.

    Drafts are committed when training moves on to other tasks, or by `commit`. A new task starts
    at the weights of the task before it. A task that was never trained is evaluated with those of
    the first one.

    Source: orthogonal weight modification, Zeng et al. 2019, https://arxiv.org/abs/1810.01256,
    applied to the read-out of a hypernetwork.

    Args:
        initial: Initial value of each tensor to write, by name; the first task starts there.
        embedding_dim: Size of a task embedding, at least 1.
        seed: Seed of all draws; if None it is drawn from torch's global generator.

    Example:
        >>> hypernetwork = IsolatedHyperNetwork({"weight": torch.ones(64, 3)}, seed=0)
        >>> hypernetwork.add_task(0)
        >>> hypernetwork.commit()
        >>> torch.allclose(hypernetwork([0])["weight"], torch.ones(1, 64, 3))
        True
    """

    # A task is taken in only if at least this share of phi_t (squared) is new: below it, dividing
    # by q . phi_t would amplify rounding in the weights of all tasks.
    MIN_NEW = 0.01
    MAX_MOVED = 1e-3  # relative change of finished tasks' weights beyond which none is taken in
    N_TRIED = 100  # random embeddings, of which a task gets the one that fits best
    PRECISE = ("embeddings", "features", "readout")
    BLOCK = 4096  # columns of the read-out that a commit looks at together

    embeddings: Tensor
    features: Tensor
    readout: Tensor

    def __init__(
        self, initial: Mapping[str, Tensor], *, embedding_dim: int = 16, seed: int | None = None
    ) -> None:
        super().__init__(initial)
        check_size("embedding_dim", embedding_dim)
        check_memory("the embeddings that are tried", self.N_TRIED * embedding_dim)
        self.noise = SeededNoise(seed, stream=2)
        self.drafts = Drafts(initial)
        self.register_buffer("embeddings", torch.zeros(0, embedding_dim))
        self.register_buffer("features", torch.zeros(0, embedding_dim + 1))
        dtype = reduce(torch.promote_types, (w.dtype for w in initial.values()), torch.float32)
        n_weights = sum(prod(shape) for shape in self.shapes.values())
        self.register_buffer("readout", torch.zeros(1, n_weights, dtype=dtype))
        self.register_load_state_dict_pre_hook(_resize)
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
            self._place_task()
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
            written = self._split(self._thetas(labels))
        return {name: written[name] for name in self.shapes if name.startswith(prefix)}

    @torch.no_grad()
    def commit(self, labels: list[int] | None = None) -> None:
        """Takes drafts into the read-out, in float64, and closes them; default: all.

        Raises:
            DivergedError: A draft has NaN, infinite or, beside the weights of other tasks, huge
                entries, which would spoil every task; that task is not taken in then.
        """
        labels = self._in_training if labels is None else labels
        for label in labels:
            if not bool(torch.isfinite(self._theta(label)).all()):
                raise diverged(label)
        for label in labels:
            self.readout.copy_(self._with(label))
            del self.drafts[label]

    def _with(self, label: int) -> Tensor:
        """The read-out with a draft taken in; raises if rounding would move finished tasks."""
        task = self.labels.index(label)
        phi = self._phi(self.embeddings)
        q = _outside(phi[task], torch.cat((phi[:task], phi[task + 1 :])))
        q = q / (q @ phi[task])
        finished = phi[[k for k, label_k in enumerate(self.labels) if label_k not in self.drafts]]
        finished = finished.to(self.readout.dtype)  # as they are read
        moved, size = phi.new_zeros(len(finished)), phi.new_zeros(len(finished))
        theta, taken_in = self._theta(label), torch.empty_like(self.readout)
        # A column needs no other; in blocks they need little memory besides the read-out.
        for start in range(0, len(theta), self.BLOCK):
            columns = slice(start, start + self.BLOCK)
            W = self.readout[:, columns]
            gap = theta[columns].double() - phi[task] @ W.double()
            taken_in[:, columns] = W.double() + torch.outer(q, gap)
            size += (finished @ W).double().square().sum(dim=1)
            change = taken_in[:, columns].double() - W.double()
            moved += (finished.double() @ change).square().sum(dim=1)
        share = (moved / size.clamp(min=1e-30)).sqrt()
        if not bool((share <= self.MAX_MOVED).all()):  # NaN is not below either
            raise DivergedError(
                f"the weights of task {label} are so large that rounding would move those of other "
                f"tasks by {float(share.max()):.1e} of their size; has its training diverged? "
                f"In any case {WAY_OUT}"
            )
        return taken_in

    @property
    def _in_training(self) -> list[int]:
        return [label for label in self.drafts if label != _FIRST]

    def _split(self, thetas: Tensor) -> dict[str, Tensor]:
        """The tensors of k tasks by name, `k x *shape`, from a row of all weights for each."""
        parts = thetas.split([prod(shape) for shape in self.shapes.values()], dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {n: part.view(-1, *shape).to(self.drafts.dtype(n)) for (n, shape), part in named}

    @torch.no_grad()
    def _theta(self, label: int) -> Tensor:
        """All weights of a task as one vector."""
        return self._thetas([label])[0]

    def _thetas(self, labels: list[int]) -> Tensor:
        """A row of all weights for each of some tasks or drafts, from one product with W."""
        rows = [self.labels.index(label) for label in labels if label not in self.drafts]
        finished = iter(self._phi(self.embeddings[rows]).to(self.readout.dtype) @ self.readout)

        def row(label: int) -> Tensor:
            if label not in self.drafts:
                return next(finished)
            parts = [part.flatten() for part in self.drafts[label].values()]
            return torch.cat(parts).to(self.readout.dtype)

        return torch.stack([row(label) for label in labels])

    def _open(self, label: int, theta: Tensor) -> None:
        """Makes a draft, or overwrites it in place."""
        self.drafts[label] = {n: part[0] for n, part in self._split(theta.unsqueeze(0)).items()}

    def _phi(self, embeddings: Tensor) -> Tensor:
        """phi of some embeddings, one row each, in float64."""
        A, a = self.features[:, :-1].double(), self.features[:, -1].double()
        hidden = torch.tanh(embeddings.double() @ A.T + a)
        return torch.cat((hidden, hidden.new_ones(len(hidden), 1)), dim=1)

    def _place_task(self) -> None:
        """Chooses the embedding of one more task, and adds features while none will do."""
        if len(self.labels) > len(self.features):
            self._add_feature()
        while (embedding := self._new_embedding()) is None:
            self._add_feature()
        self.embeddings = torch.cat((self.embeddings, embedding))

    def _new_embedding(self) -> Tensor | None:
        """Of `N_TRIED` draws the one farthest, in phi, from all tasks; None if too close."""
        tried = self._draw(self.N_TRIED, self.embeddings.shape[1])
        phi = self._phi(tried)
        q = _outside(phi, self._phi(self.embeddings))
        shares = q.square().sum(dim=1) / phi.square().sum(dim=1)
        best = int(shares.argmax())
        return None if shares[best] < self.MIN_NEW else tried[best : best + 1]

    def _add_feature(self) -> None:
        """One more random feature; its row of the read-out is zero, so no output changes."""
        self.features = torch.cat((self._draw(1, self.features.shape[1]), self.features))
        self.readout = torch.cat((torch.zeros_like(self.readout[:1]), self.readout))

    def _draw(self, *shape: int) -> Tensor:
        device = self.embeddings.device
        return torch.randn(*shape, generator=self.noise.generator(device), device=device)


def _resize(module: IsolatedHyperNetwork, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Makes room for what is to be loaded."""
    for name in ("embeddings", "features", "readout"):
        if f"{prefix}{name}" in state:
            shape = state[f"{prefix}{name}"].shape
            setattr(module, name, getattr(module, name).new_empty(shape))


def _outside(phi: Tensor, spanning: Tensor) -> Tensor:
    """The part of phi, a vector or the rows of a matrix, outside the span of some rows."""
    basis = torch.linalg.qr(spanning.T).Q
    for _ in range(2):  # once more, against what rounding left of the first projection
        phi = phi - phi @ basis @ basis.T
    return phi
