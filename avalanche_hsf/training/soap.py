"""SOAP that steps all parameters of a shape together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.extras import require

require("SOAP", "pytorch_optimizer", extra="hsf")
import pytorch_optimizer  # noqa: E402

State = dict[str, Any]


class SOAP(pytorch_optimizer.SOAP):
    """The library's SOAP with batched products: the same update, up to rounding, in less time.

    Its state is the library's, parameter by parameter; each tensor of it is a row of a stack. With
    `merge_dims`, `precondition_1d`, `normalize_gradient` or `maximize` the library itself steps,
    one parameter after the other.

    Raises:
        DivergedError: In `step`, for gradients without eigenvectors.
    """

    transient = ("_stacks",)  # no part of checkpoints
    _stacks: Sequence[Vector] = ()

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        try:
            if self.maximize or any(map(_needs_library, self.param_groups)):
                self._stacks = ()  # the library puts other tensors into the states
                return super().step(closure)
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            if not self._are_stacked():
                self._stack()
            for group in self.param_groups:
                group["step"] += 1
            for stack in self._stacks:
                if stack.group["step"] > 1:  # the first step only prepares the next one
                    stack.step()
            return loss
        except torch.linalg.LinAlgError as error:
            raise DivergedError(
                "training diverged: SOAP finds no eigenvectors of gradients that are NaN, infinite "
                "or huge. Use a smaller learning rate, or inputs of scale 1"
            ) from error

    def _are_stacked(self) -> bool:
        """Whether parameters, those that have gradients, and their states are as they were."""
        groups = {id(p): group for group in self.param_groups for p in _moving(group)}
        rows = [(*row, stack.group) for stack in self._stacks for row in stack.rows]
        have_begun = all("step" in group for group in self.param_groups)
        return (
            have_begun
            and len(rows) == len(groups)
            and all(
                groups.get(id(p)) is group and self.state.get(p, {}).get("exp_avg") is exp_avg
                for p, exp_avg, group in rows
            )
        )

    def _stack(self) -> None:
        stacks: list[Vector] = []
        for group in self.param_groups:
            self.init_group(group)  # of parameters that are new
            by_kind: dict[Any, list[nn.Parameter]] = {}
            for p in _moving(group):
                kind, options = _kind(p, self.state[p])
                by_kind.setdefault((kind, p.dtype, p.device, options), []).append(p)
            for (kind, *_), parameters in by_kind.items():
                states = [self.state[p] for p in parameters]
                make = Stack if kind else Vector
                stacks.append(make(parameters, states, group))
        self._stacks = stacks

    def __getstate__(self) -> dict[str, Any]:
        # Torch keeps state and groups alone, and the library has settings beside them.
        own = {name: v for name, v in vars(self).items() if name not in vars(_PLAIN)}
        return super().__getstate__() | own | {"_stacks": ()}


_PLAIN = torch.optim.SGD([nn.Parameter()], lr=1.0)


class Vector:
    """Parameters without eigenbases, laid end to end: SOAP is Adam for them.

    Args:
        parameters: With gradients.
        states: Of the library's, one for each; their tensors become parts of these.
        group: With their options.

    Attributes:
        rows: Each parameter with the tensor by which its state is known.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], states: Sequence[State], group: State
    ) -> None:
        self.parameters, self.group = list(parameters), group
        self._tensors: list[Tensor] = [*parameters]
        self.exp_avg = self._join([state["exp_avg"] for state in states])
        self.exp_avg_sq = self._join([state["exp_avg_sq"] for state in states])
        for name in ("exp_avg", "exp_avg_sq"):
            for state, part in zip(states, self._parts(getattr(self, name)), strict=True):
                state[name] = part
        self.rows = [(p, state["exp_avg"]) for p, state in zip(parameters, states, strict=True)]

    def step(self) -> None:
        """One update of all parameters."""
        group, (beta1, beta2) = self.group, self.group["betas"]
        n_steps, size = group["step"] - 1, group["lr"]
        if group["correct_bias"]:
            size = size * math.sqrt(1.0 - beta2**n_steps) / (1.0 - beta1**n_steps)
        gradient = self._join([p.grad for p in self.parameters])
        self.exp_avg.lerp_(gradient, 1.0 - beta1)
        self.exp_avg_sq.lerp_(self._project(gradient).square(), 1.0 - beta2)
        scale = self.exp_avg_sq.sqrt().add_(group["eps"])
        update = self._project(self._project(self.exp_avg) / scale, back=True)
        torch._foreach_add_(self._tensors, self._parts(update), alpha=-size)
        if group["weight_decay"]:
            torch._foreach_mul_(self._tensors, 1.0 - group["weight_decay"] * group["lr"])
        self._update_bases(gradient, n_steps)

    def _join(self, tensors: Sequence[Any]) -> Tensor:
        return torch.cat([tensor.flatten() for tensor in tensors])

    def _parts(self, joined: Tensor) -> list[Tensor]:
        """Views of the parts of what was joined, one for each parameter."""
        parts = joined.split([p.numel() for p in self.parameters])
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]

    def _project(self, x: Tensor, *, back: bool = False) -> Tensor:
        """Into the eigenbases or out of them."""
        return x

    def _update_bases(self, gradient: Tensor, n_steps: int) -> None:
        """Takes the gradient in."""


class Stack(Vector):
    """Parameters of one shape, or matrices of it and of its transpose, with eigenbases.

    An axis that is longer than `max_precondition_dim` has none.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], states: Sequence[State], group: State
    ) -> None:
        self._is_flipped = [p.shape != parameters[0].shape for p in parameters]
        super().__init__(parameters, states, group)
        self.frequency = states[0]["precondition_frequency"]
        self.shampoo_beta = states[0]["shampoo_beta"]
        self.GG = self._stacked(states, "GG")
        self.Q = self._stacked(states, "Q")

    def _stacked(self, states: Sequence[State], name: str) -> list[Tensor | None]:
        """The matrices of each axis; those of the states become rows of them."""
        by_state = [
            state[name][::-1] if flipped else state[name]
            for state, flipped in zip(states, self._is_flipped, strict=True)
        ]
        stacks = [
            torch.stack(of_axis) if len(of_axis[0]) else None
            for of_axis in zip(*by_state, strict=True)
        ]
        for i, (state, flipped) in enumerate(zip(states, self._is_flipped, strict=True)):
            rows: list[Any] = [[] if stack is None else stack[i] for stack in stacks]
            state[name] = rows[::-1] if flipped else rows
        return stacks

    def _join(self, tensors: Sequence[Any]) -> Tensor:
        flips = zip(tensors, self._is_flipped, strict=True)
        return torch.stack([tensor.mT if flipped else tensor for tensor, flipped in flips])

    def _parts(self, joined: Tensor) -> list[Tensor]:
        flips = zip(joined.unbind(), self._is_flipped, strict=True)
        return [row.mT if flipped else row for row, flipped in flips]

    def _project(self, x: Tensor, *, back: bool = False) -> Tensor:
        for Q in self.Q:
            n, d, *others = x.shape
            rows = x.reshape(n, d, -1).mT
            if Q is not None:
                rows = torch.bmm(rows, Q.mT if back else Q)
            x = rows.reshape(n, *others, d)  # after all axes they are in order again
        return x

    def _update_bases(self, gradient: Tensor, n_steps: int) -> None:
        for axis, GG in enumerate(self.GG, start=1):
            if GG is not None:
                rows = gradient.movedim(axis, 1).flatten(2)
                GG.lerp_(torch.bmm(rows, rows.mT), 1.0 - self.shampoo_beta)
        if n_steps % self.frequency == 0:
            self._rotate()

    def _rotate(self) -> None:
        """One round of power iteration of each basis, its vectors in the order of their size."""
        for axis, (GG, Q) in enumerate(zip(self.GG, self.Q, strict=True), start=1):
            if GG is None or Q is None:
                continue
            product = torch.bmm(GG, Q)
            order = (Q * product).sum(dim=1).argsort(dim=1, descending=True)
            columns = product.gather(2, order.unsqueeze(1).expand_as(product))
            Q.copy_(torch.linalg.qr(columns.float()).Q)
            along = self.exp_avg_sq.movedim(axis, 1)
            index = order.reshape(*order.shape, *[1] * (along.dim() - 2))
            along.copy_(along.gather(1, index.expand_as(along)))


def _moving(group: State) -> list[nn.Parameter]:
    """Those that a step changes."""
    return [p for p in group["params"] if p.grad is not None and p.numel()]


def _kind(p: Tensor, state: State) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """What parameters of one stack have in common; its shape is () without eigenbases.

    A matrix and its transpose have the same.
    """
    has_basis = [len(GG) > 0 for GG in state["GG"]]
    if not any(has_basis):
        return (), ()
    axes = list(zip(p.shape, has_basis, strict=False))
    axes = sorted(axes) if p.dim() == 2 else axes
    options = (state["precondition_frequency"], state["shampoo_beta"], *(b for _, b in axes))
    return tuple(d for d, _ in axes), options


def _needs_library(group: State) -> bool:
    names = ("merge_dims", "precondition_1d", "normalize_gradient")
    return any(group[name] for name in names)
