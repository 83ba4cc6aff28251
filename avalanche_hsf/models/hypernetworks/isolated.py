"""A hypernetwork whose old outputs stay put when a new task is learned."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import check_int
from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.tasks.call import parameter_key


class IsolatedHyperNetwork(TaskWeights):
    r"""A linear read-out of fixed random features of a fixed random embedding: h(e) = W^T phi(e).

    phi(e) = [tanh(A e + a), 1]; A, a and the embeddings are drawn once and never trained. A task
    in training owns a draft of its weights theta, an ordinary set of parameters. When the draft
    is committed the read-out takes it in along a direction that no other task sees:

    W += q (theta - W^T phi_t)^T / (q . phi_t),  q = phi_t minus its part in span{phi_k, k != t}

    so that h(e_t) = theta and h(e_k) is unchanged, up to rounding (relative to the weights about
    6e-7 with 40 tasks, 4e-6 with 200, 3e-5 with 500). Exact, and priced as such: a
    row of W, a full set of weights, for each task. A task's embedding is that of many random ones
    whose phi_t lies farthest from the span of the others; capacity grows by a feature when there
    are more tasks than features, or when even that one lies too close.

    Drafts are committed when training moves on to other tasks, or by `commit`. A new task starts
    at the weights of the task before it. A task that was never trained is evaluated with the
    weights of the first one.

    Source: orthogonal weight modification, Zeng et al. 2019, https://arxiv.org/abs/1810.01256,
    applied to the read-out of a hypernetwork.

    Args:
        initial: Initial value of each tensor to write, by name; the first task starts there.
        embedding_dim: Size of a task embedding, at least 1.
        n_features: Random features at the start, at least 0; they are good for n_features + 1
            tasks at most, each has a row of W, and more are added as tasks come.
        grow: Whether capacity grows. If not, a task beyond it is refused when it is added.
        seed: Seed of all draws; if None it is drawn from torch's global generator.

    Attributes:
        drafts: The weights in training, by task label.

    Raises:
        ValueError: From `add_task`: capacity is spent and `grow` is False.

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
    # Relative change of finished tasks' weights beyond which a task is not taken in.
    MAX_MOVED = 1e-3
    # Of so many random embeddings a task gets the one that fits best.
    N_TRIED = 100
    # Columns of the read-out that a commit looks at together.
    BLOCK = 4096

    embeddings: Tensor
    features: Tensor
    readout: Tensor

    def __init__(
        self,
        initial: Mapping[str, Tensor],
        *,
        embedding_dim: int = 16,
        n_features: int = 0,
        grow: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_int("embedding_dim", embedding_dim, at_least=1)
        check_int("n_features", n_features, at_least=0)
        self.shapes = {name: tuple(value.shape) for name, value in initial.items()}
        self.grow = grow
        self.noise = SeededNoise(seed, stream=2)
        self.labels: list[int] = []
        self.drafts = nn.ModuleDict()
        self._in_use = False
        self.register_buffer("embeddings", torch.zeros(0, embedding_dim))
        self.register_buffer("features", self._draw(n_features, embedding_dim + 1))
        n_weights = sum(prod(shape) for shape in self.shapes.values())
        self.register_buffer("readout", torch.zeros(n_features + 1, n_weights))
        # There from the start, so that an optimizer can be made before the first task is known.
        self._open(_FIRST, torch.cat([value.detach().flatten() for value in initial.values()]))

    @property
    def tasks(self) -> list[int]:
        return list(self.labels)

    def trains(self, label: int) -> bool:
        return str(label) in self.drafts

    @property
    def holds_old_tasks(self) -> bool:
        return True

    def add_task(self, label: int) -> None:
        self.begin([label])

    def begin(self, labels: list[int]) -> None:
        """Commits the drafts of all other tasks and opens drafts of these.

        Drafts that no training pass has used stay open: Avalanche's `JointTraining` prepares a
        model for one experience after the other before it trains on them all.

        Raises:
            ValueError: Capacity is spent and must not grow; nothing has changed then.
        """
        if not self._in_use:
            labels = [*self._in_training, *labels]
        new = [
            label
            for label in dict.fromkeys(labels)
            if check_int("a task label", label, at_least=0) not in self.labels
        ]
        if new and not self.grow:
            self._check_capacity(len(new))
        self.commit([label for label in self._in_training if label not in labels])
        for label in new:
            if self.labels:
                self._open(str(label), self._theta(self.labels[-1]))
            else:
                self.drafts[str(label)] = self.drafts.pop(_FIRST)
            self._place_task()
            self.labels.append(label)
        for label in labels:
            if str(label) not in self.drafts:
                self._open(str(label), self._theta(label))
        self._in_use = False

    @torch.no_grad()
    def copy_task(self, source: int, target: int) -> None:
        for label in (source, target):
            self.check_known(label)
        if str(target) not in self.drafts:
            raise ValueError(f"task {target} is not in training: its weights stay as they are")
        self._open(str(target), self._theta(source))

    def forward(self, tasks: list[int], prefix: str = "") -> dict[str, Tensor]:
        self._in_use = self._in_use or (self.training and torch.is_grad_enabled())
        if self.training:
            for label in tasks:
                self.check_known(label)
        first = next(iter(self.labels), _FIRST)
        keys = [str(label if label in self.labels else first) for label in tasks]
        if len(keys) == 1 and keys[0] in self.drafts:
            written = {name: part.unsqueeze(0) for name, part in self._draft(keys[0]).items()}
        else:
            written = self._split(self._thetas(keys))
        return {name: written[name] for name in self.shapes if name.startswith(prefix)}

    @torch.no_grad()
    def commit(self, labels: list[int] | None = None) -> None:
        """Takes drafts into the read-out, in float64, and closes them; default: all.

        Raises:
            ValueError: A draft has NaN, infinite or, beside the weights of other tasks, huge
                entries, which would spoil every task; that task is not taken in then.
        """
        labels = self._in_training if labels is None else labels
        for label in labels:
            if not bool(torch.isfinite(self._theta(label)).all()):
                raise ValueError(
                    f"task {label} has NaN or infinite weights, its training diverged; the other "
                    "tasks are as they were. Give it the weights of another (copy_task) and train "
                    "it again, perhaps with a smaller learning rate"
                )
        for label in labels:
            self.readout.copy_(self._with(label))
            del self.drafts[str(label)]

    def _with(self, label: int) -> Tensor:
        """The read-out with a draft taken in; ValueError if rounding would move finished tasks."""
        task = self.labels.index(label)
        phi = self._phi(self.embeddings)
        q = _outside(phi[task], torch.cat((phi[:task], phi[task + 1 :])))
        q = q / (q @ phi[task])
        others = phi[[k for k, each in enumerate(self.labels) if str(each) not in self.drafts]]
        others = others.to(self.readout.dtype)  # as they are read
        moved, size = phi.new_zeros(len(others)), phi.new_zeros(len(others))
        theta, taken_in = self._theta(label), torch.empty_like(self.readout)
        # A column needs no other; in blocks they need little memory besides the read-out.
        for start in range(0, len(theta), self.BLOCK):
            columns = slice(start, start + self.BLOCK)
            W = self.readout[:, columns]
            gap = theta[columns].double() - phi[task] @ W.double()
            taken_in[:, columns] = W.double() + torch.outer(q, gap)
            size += (others @ W).double().square().sum(dim=1)
            change = taken_in[:, columns].double() - W.double()
            moved += (others.double() @ change).square().sum(dim=1)
        share = (moved / size.clamp(min=1e-30)).sqrt()
        if not bool((share <= self.MAX_MOVED).all()):  # NaN is not below either
            raise ValueError(
                f"the weights of task {label} are so large that rounding would move those of other "
                f"tasks by {float(share.max()):.1e} of their size; has its training diverged? The "
                "other tasks are as they were. Give it the weights of another (copy_task) and "
                "train it again, perhaps with a smaller learning rate"
            )
        return taken_in

    @property
    def _in_training(self) -> list[int]:
        return [int(key) for key in self.drafts if key != _FIRST]

    def _split(self, thetas: Tensor) -> dict[str, Tensor]:
        """The tensors of k tasks by name, `k x *shape`, from a row of all weights for each."""
        parts = thetas.split([prod(shape) for shape in self.shapes.values()], dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.view(-1, *shape) for (name, shape), part in named}

    @torch.no_grad()
    def _theta(self, label: int) -> Tensor:
        """All weights of a task as one vector."""
        return self._thetas([str(label)])[0]

    def _thetas(self, keys: list[str]) -> Tensor:
        """A row of all weights for each of some tasks or drafts, from one product with W."""
        rows = [self.labels.index(int(key)) for key in keys if key not in self.drafts]
        read = self._phi(self.embeddings[rows]).to(self.readout.dtype) @ self.readout
        if len(rows) == len(keys):
            return read
        finished = iter(read)
        return torch.stack(
            [self._flat_draft(key) if key in self.drafts else next(finished) for key in keys]
        )

    def _flat_draft(self, key: str) -> Tensor:
        return torch.cat([part.flatten() for part in self._draft(key).values()])

    def _draft(self, key: str) -> dict[str, Tensor]:
        own = dict(self.drafts[key].named_parameters())
        return {name: own[parameter_key(name)] for name in self.shapes}

    @torch.no_grad()
    def _open(self, key: str, theta: Tensor) -> None:
        """Makes a draft, or overwrites it in place."""
        if key not in self.drafts:
            self.drafts[key] = nn.Module()
            for name, part in self._split(theta.unsqueeze(0)).items():
                own = nn.Parameter(part[0].clone())
                self.drafts[key].register_parameter(parameter_key(name), own)
            return
        for name, part in self._split(theta.unsqueeze(0)).items():
            self.drafts[key].get_parameter(parameter_key(name)).copy_(part[0])

    def _phi(self, embeddings: Tensor) -> Tensor:
        """phi of some embeddings, one row each, in float64."""
        A, a = self.features[:, :-1].double(), self.features[:, -1].double()
        hidden = torch.tanh(embeddings.double() @ A.T + a)
        return torch.cat((hidden, hidden.new_ones(len(hidden), 1)), dim=1)

    def _place_task(self) -> None:
        """Chooses the embedding of one more task, and adds features if none will do."""
        if self.grow and len(self.labels) > len(self.features):
            self._add_feature()
        embedding, share = self._most_new_embedding()
        while self.grow and share < self.MIN_NEW:
            self._add_feature()
            embedding, share = self._most_new_embedding()
        self.embeddings = torch.cat((self.embeddings, embedding))

    def _most_new_embedding(self) -> tuple[Tensor, float]:
        """Of `N_TRIED` draws the one whose phi is farthest from the span of all tasks'.

        Returns:
            The embedding, `1 x embedding_dim`, and the squared share of its phi that is new.
        """
        tried = self._draw(self.N_TRIED, self.embeddings.shape[1])
        phi = self._phi(tried)
        q = _outside(phi, self._phi(self.embeddings))
        shares = q.square().sum(dim=1) / phi.square().sum(dim=1)
        best = int(shares.argmax())
        return tried[best : best + 1], float(shares[best])

    def _check_capacity(self, n_new: int) -> None:
        capacity = len(self.features) + 1
        if len(self.labels) + n_new > capacity:
            raise ValueError(
                f"an IsolatedHyperNetwork of {len(self.features)} features holds {capacity} "
                f"tasks; it has {len(self.labels)} and {n_new} more came: raise n_features, or let "
                "it grow with grow=True"
            )

    def _add_feature(self) -> None:
        """One more random feature; its row of the read-out is zero, so no output changes."""
        self.features = torch.cat((self._draw(1, self.features.shape[1]), self.features))
        self.readout = torch.cat((torch.zeros_like(self.readout[:1]), self.readout))

    def _draw(self, *shape: int) -> Tensor:
        device = self.embeddings.device if hasattr(self, "embeddings") else torch.device("cpu")
        return torch.randn(*shape, generator=self.noise.generator(device), device=device)

    def get_extra_state(self) -> dict[str, Any]:
        return {"labels": self.labels, "drafts": list(self.drafts), "in_use": self._in_use}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Already read by `_load_from_state_dict`, which needs it first."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        stored = state_dict.get(f"{prefix}_extra_state")
        if stored is not None:
            for name in ("embeddings", "features", "readout"):
                setattr(self, name, self.readout.new_empty(state_dict[f"{prefix}{name}"].shape))
            self.labels, self._in_use = list(stored["labels"]), stored["in_use"]
            before, self.drafts = self.drafts, nn.ModuleDict()
            for key in stored["drafts"]:
                if key in before:  # filled in place, so that an optimizer of it goes on
                    self.drafts[key] = before[key]
                else:
                    self._open(key, self.readout.new_zeros(self.readout.shape[1]))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _outside(phi: Tensor, others: Tensor) -> Tensor:
    """The part of phi, a vector or the rows of a matrix, outside the span of the others' rows."""
    basis = torch.linalg.qr(others.T).Q
    for _ in range(2):  # once more, against what rounding left of the first projection
        phi = phi - phi @ basis @ basis.T
    return phi


_FIRST = "first"
"""The draft before any task is known."""
