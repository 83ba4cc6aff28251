"""Bare training steps of one seed, and of several whose weights are stacked, for `seeds.py`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.functional import gelu
from torch.optim import Optimizer

from avalanche_hsf.models import HypernetSDEFlow, NeuralSDE, TaskGroups
from avalanche_hsf.models.tasks.call import parameter_key
from avalanche_hsf.models.tasks.slots import EmptySlot
from avalanche_hsf.models.written import Written
from avalanche_hsf.training.optimizers import make_optimizer

Weights = Mapping[str, Tensor]


class OfMLP(nn.Module):
    """The loss of an MLP autoencoder; the memory is in its batch."""

    ways = ("vmap", "by hand")

    def __init__(self, model: nn.Module, task: int) -> None:
        super().__init__()
        self.model = model

    def draw(self, n: int) -> list[Tensor]:
        return []

    def forward(self, x: Tensor) -> Tensor:
        return (self.model(x) - x).square().mean()

    def by_hand(self, w: Weights, x: Tensor) -> Tensor:
        out = x
        for block in ("encoder", "decoder"):
            out = layers_of_seeds(w, [f"model.{block}.{k}" for k in (0, 2, 4)], out)
        return (out - x).square().mean(dim=(1, 2))


class OfHSF(nn.Module):
    """The loss of an HSF, with the detached likelihood while its flow can learn."""

    ways = ("vmap", "by hand", "as tasks")

    def __init__(self, model: HypernetSDEFlow, task: int) -> None:
        super().__init__()
        self.model, self.task = model, task
        trained = [n for n, p in model.hypernetwork.named_parameters() if p.requires_grad]
        self.likelihood = any("flow/" in name for name in trained)

    def draw(self, n: int) -> list[Tensor]:
        model, generator = self.model, self.model.noise.generator("cpu")
        noise = [s.draw_noise(n, generator) for s in (model.encoder_sde, model.decoder_sde)]
        if self.likelihood:
            noise.append(torch.randn(n, model.latent_dim, generator=generator).to(noise[0]))
        return noise

    def forward(self, x: Tensor, *drawn: Tensor) -> Tensor:
        written = self.model.write(self.task, len(x))
        return self._loss(partial(self._run, written), x[None], *(d[None] for d in drawn))[0]

    def as_tasks(self, w: Weights, x: Tensor, *drawn: Tensor) -> Tensor:
        rows = torch.arange(x[..., 0].numel())
        groups = TaskGroups(list(range(len(x))), rows.view(len(x), -1), rows)
        return self._loss(partial(self._run, Written(groups, self._written(w))), x, *drawn)

    def by_hand(self, w: Weights, x: Tensor, *drawn: Tensor) -> Tensor:
        return self._loss(partial(self._run_by_hand, self._written(w)), x, *drawn)

    def _loss(self, run: Callable[..., Any], x: Tensor, *drawn: Tensor) -> Tensor:
        """Of each seed; all tensors are `seeds x n x *`."""
        z0 = run("encoder", x)
        forth, back, *blur = drawn
        z = run("decoder_sde", run("encoder_sde", z0, forth), back)
        loss = (run("decoder", z) - x).square().mean(dim=(1, 2))
        if not blur:
            return loss
        z = z0.detach()
        std = z.std(dim=1, keepdim=True, correction=0).clamp(min=self.model.whitening.MIN_STD)
        u, log_det = run("flow", (z - z.mean(dim=1, keepdim=True)) / std + 0.05 * blur[0])
        log_p_u = -0.5 * (u.square().sum(dim=2) + u.shape[2] * math.log(2 * math.pi))
        return loss - 0.1 * (log_p_u + log_det).mean(dim=1)

    def _run(self, written: Written, block: str, *inputs: Tensor) -> Any:
        out = self.model.run(block, written, *(x.flatten(0, 1) for x in inputs))
        shape, pair = inputs[0].shape[:2], isinstance(out, tuple)
        return tuple(o.unflatten(0, shape) for o in out) if pair else out.unflatten(0, shape)

    def _run_by_hand(self, w: Weights, block: str, *inputs: Tensor) -> Any:
        if block.endswith("sde"):
            sde: Any = self.model.get_submodule(block)
            return solve_of_seeds(w, block, sde, *inputs)
        if block == "flow":
            return flow_of_seeds(w, len(self.model.flow.transform._transforms), *inputs)
        names = {
            "encoder": ("hidden_1", "hidden_2", "to_latent"),
            "decoder": ("hidden", "to_output"),
        }
        return layers_of_seeds(w, [f"{block}.{name}" for name in names[block]], inputs[0])

    def _written(self, w: Weights) -> dict[str, Tensor]:
        """The network's tensors, `seeds x *shape`: drafts, or a trunk with or without cores."""
        written: dict[str, Tensor] = {}
        start = "model.hypernetwork."
        for name in self.model.hypernetwork.shapes:
            key = parameter_key(name)
            draft = f"{start}drafts.of.{key}.{self.task}"
            written[name] = w[draft] if draft in w else w[f"{start}trunk.{key}"]
            C = w.get(f"{start}drafts.of.{parameter_key(f'{key}/C')}.{self.task}")
            if C is not None:
                P, Q = (w[f"{start}adapters.{key}.{side}"] for side in "PQ")
                written[name] = written[name] + (P @ C @ Q).view_as(written[name])
        return written


class Steps:
    """Training steps.

    Attributes:
        optimizer: Of all that is trained.
    """

    optimizer: Optimizer

    def gradients(self) -> Tensor:
        """Computes them; returns the loss, or that of each seed."""
        raise NotImplementedError

    def step(self) -> Tensor:
        """One update; returns the loss, or that of each seed, before it."""
        loss = self.gradients()
        self.optimizer.step()
        return loss


class Alone(Steps):
    """The steps of one seed."""

    def __init__(self, loss: OfMLP | OfHSF, x: Tensor, options: Mapping[str, Any]) -> None:
        self.loss, self.x = loss, x
        self.optimizer = make_optimizer([p for p in loss.parameters() if p.requires_grad], options)

    def gradients(self) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(self.x, *self.loss.draw(len(self.x)))
        loss.backward()
        return loss.detach()


class Stacked(Steps):
    """The steps of several seeds at once; each seed's weights are rows of stacks, for SOAP too."""

    def __init__(
        self, losses: Sequence[OfMLP | OfHSF], x: Tensor, way: str, options: Mapping[str, Any]
    ) -> None:
        self.losses, self.x, self.way = losses, x, way
        tensors = [dict([*m.named_parameters(), *m.named_buffers()]) for m in losses]
        names = [name for name, t in tensors[0].items() if not isinstance(t, EmptySlot)]
        self.held = {name: torch.stack([t[name].detach() for t in tensors]) for name in names}
        trained = [n for n, p in losses[0].named_parameters() if p.requires_grad and p.numel()]
        self.trained = {n: self.held.pop(n).requires_grad_(way != "vmap") for n in trained}
        self.rows = [nn.Parameter(row) for W in self.trained.values() for row in W.detach()]
        self._gradients = [torch.zeros_like(W) for W in self.trained.values()]
        for W, gradient in zip(self.trained.values(), self._gradients, strict=True):
            W.grad = gradient
        self._show(self._gradients)
        self.optimizer = make_optimizer(self.rows, options)
        self._per_seed = vmap(grad_and_value(self._of_one))

    def _of_one(self, trained: Weights, held: Weights, x: Tensor, *drawn: Tensor) -> Tensor:
        return functional_call(self.losses[0], {**trained, **held}, (x, *drawn))

    def _show(self, gradients: Sequence[Tensor]) -> None:
        """Gives each row its gradient."""
        for row, gradient in zip(self.rows, (g for each in gradients for g in each), strict=True):
            row.grad = gradient

    def gradients(self) -> Tensor:
        each = [loss.draw(self.x.shape[1]) for loss in self.losses]
        drawn = [torch.stack(parts) for parts in zip(*each, strict=True)]
        if self.way == "vmap":
            gradients, losses = self._per_seed(self.trained, self.held, self.x, *drawn)
            self._show([gradients[name] for name in self.trained])
            return losses
        torch._foreach_zero_(self._gradients)
        way = getattr(self.losses[0], self.way.replace(" ", "_"))
        losses = way({**self.trained, **self.held}, self.x, *drawn)
        losses.sum().backward()
        return losses.detach()


def layers_of_seeds(
    w: Weights,
    names: Sequence[str],
    x: Tensor,
    activation: Callable[[Tensor], Tensor] = gelu,
) -> Tensor:
    """Linear layers with an activation between them; a slice of x and of each weight per seed."""
    for k, name in enumerate(names):
        x = activation(x) if k else x
        x = torch.baddbmm(w[f"{name}.bias"].unsqueeze(1), x, w[f"{name}.weight"].mT)
    return x


def solve_of_seeds(w: Weights, block: str, sde: NeuralSDE, z: Tensor, noise: Tensor) -> Tensor:
    """The solve of a `NeuralSDE` for several seeds, drifts and diffusions in one batch.

    Args:
        w: Weights by name in the HSF, a slice per seed.
        block: Of the SDE in the HSF.
        sde: Any seed's, for what is not learned.
        z: `seeds x n x dim`.
        noise: `seeds x n x n_steps x dim`.
    """
    h, both = sde.horizon / sde.n_steps, {}
    for name in (f"{k}.{part}" for k in (0, 2, 4) for part in ("weight", "bias")):
        both[name] = torch.cat((w[f"{block}.drift.{name}"], w[f"{block}.diffusion.{name}"]))
    for xi in (noise * math.sqrt(h)).unbind(2):
        f, g = layers_of_seeds(both, ("0", "2", "4"), z.repeat(2, 1, 1), torch.tanh).chunk(2)
        z = z + h * f + sde.bounded(g) * xi
    return z


def flow_of_seeds(w: Weights, n_layers: int, z: Tensor) -> tuple[Tensor, Tensor]:
    """u for several seeds: from `seeds x n x dim`, and log |det| as `seeds x n`."""
    log_det, half = z.new_zeros(z.shape[:2]), z.shape[2] // 2
    for k in range(n_layers):
        at = f"flow.transform._transforms.{k}"
        first, last = z[..., :half], z[..., half:]
        kept, moved = (last, first) if k % 2 else (first, last)
        t = layers_of_seeds(w, (f"{at}.net.0", f"{at}.net.2"), kept, torch.relu).tanh()
        s = w[f"{at}.scale"].unsqueeze(1) * t
        moved = (moved + t) * torch.exp(s)
        z = torch.cat((moved, kept) if k % 2 else (kept, moved), dim=2)
        log_det = log_det + s.sum(dim=2)
    return z, log_det
