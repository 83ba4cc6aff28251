"""The paper's system: hypernetwork, neural SDE and normalizing flow in one autoencoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import (
    check_bool,
    check_choice,
    check_int,
    check_layers,
    check_mapping,
    check_options,
    check_samples,
    check_size,
)
from avalanche_hsf.extras import require
from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.output import HSFOutput
from avalanche_hsf.models.tasks.class_mask import ClassMask
from avalanche_hsf.models.tasks.density import TaskDensity
from avalanche_hsf.models.tasks.whitening import TaskWhitening
from avalanche_hsf.models.written import Labels, TaskWritten, Written

GENERATED: Mapping[str, tuple[str, ...]] = {
    "paper": ("encoder.hidden_1.", "encoder.hidden_2.", "decoder.hidden."),
    "autoencoder": ("encoder.", "decoder."),
    "all-but-sdes": ("encoder.", "decoder.", "flow."),
    "all": ("encoder.", "decoder.", "flow.", "encoder_sde.", "decoder_sde."),
}
"""Which tensors of the main network the hypernetwork writes: prefixes of their names."""

GENTLE_SDE: Mapping[str, Any] = {"diffusion_scale": 0.1, "diffusion_bias": -5.0, "drift_gain": 0.1}
"""Options of an SDE that starts close to the identity."""


class HypernetSDEFlow(TaskWritten):
    r"""Hypernet-SDE-Flow, a task-conditional stochastic autoencoder.

    encoder:  z0  = L_z gelu(W_2 gelu(W_1 x + b_1) + b_2)
    flow:     u   = F(z0),  log p(z0) = log N(u; 0, I) + log |det dF/dz0|
    SDE:      z_T = Z(T_enc),  dZ = f(Z) dt + g(Z) dW,  Z(0) = z0
    decoder:  x^  = L_x gelu(W_3 Z'(T_dec) + b_3),  Z' a second SDE, Z'(0) = z_T

    The main network's tensors named by `generated` are written per task by a hypernetwork,
    everything else is shared by all tasks. In the paper these are W_1, W_2, W_3 and their biases.

    An Avalanche `MultiTaskModule`: a strategy passes it task labels and grows it when a new task
    arrives; any strategy can train it, since `forward` returns the reconstruction, or output,
    alone. Evaluating a task that was never trained is allowed; see the hypernetwork's class for
    the weights used. A pass draws noise, in evaluation too; see `SeededNoise` for its source.
    Initial weights come from torch's global generator, as usual. Training stops at the first step
    with a NaN or infinite input or gradient, see `StepGuard`.

    Source: section 2 of the paper; sizes and horizons from the author's public code.

    Args:
        input_dim: Number of features of one sample, all dimensions but the first multiplied.
        output_dim: None: the model reconstructs its input. A number: the decoder returns that many
            values instead, class scores or regression targets.
        masking: Of class scores, leave each task those of its own classes, see `ClassMask`.
        hidden_dim: Width of encoder and decoder.
        latent_dim: Size of z0, at least 2 (the flow needs two halves).
        generated: A name in `GENERATED`: "paper", "autoencoder", "all-but-sdes" or "all".
        hypernetwork: A name in `HYPERNETWORKS`, or a class or function like those there.
        hypernetwork_options: Its further arguments.
        flow_layers: Number of affine couplings.
        flow_hidden_dim: Hidden width of each coupling.
        sde_hidden_dim: Hidden width of drift and diffusion.
        encoder_horizon: T_enc, dimensionless, above 0.
        decoder_horizon: T_dec, likewise.
        encoder_steps: Euler-Maruyama steps of the encoder's SDE.
        decoder_steps: Of the decoder's.
        sde_options: Further arguments of both `NeuralSDE`s; {}: the paper's.
        seed: Seed of the SDEs' noise and of the hypernetwork's draws, at least 0; if None it is
            drawn from torch's global generator.

    Raises:
        ValueError: A name is unknown, or a number is out of its range.

    Example:
        >>> model = HypernetSDEFlow(input_dim=64)
        >>> model.hypernetwork.add_task(0)
        >>> model(torch.zeros(5, 1, 8, 8), 0).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        input_dim: int,
        *,
        output_dim: int | None = None,
        masking: bool = False,
        hidden_dim: int = 64,
        latent_dim: int = 24,
        generated: str = "all",
        hypernetwork: str | Callable[..., TaskWeights] = "isolated",
        hypernetwork_options: Mapping[str, Any] | None = None,
        flow_layers: int = 4,
        flow_hidden_dim: int = 64,
        sde_hidden_dim: int = 64,
        encoder_horizon: float = 1.0,
        decoder_horizon: float = 0.5,
        encoder_steps: int = 4,
        decoder_steps: int = 2,
        sde_options: Mapping[str, Any] = GENTLE_SDE,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        # Not before: who trains another model needs neither library.
        require("HypernetSDEFlow", "torchsde", "nflows", extra="hsf")
        from avalanche_hsf.models.flow import ManifoldNormalizingFlow
        from avalanche_hsf.models.sde import NeuralSDE

        self.input_dim = check_size("input_dim", input_dim)
        self.reconstructs = output_dim is None
        output_dim = input_dim if output_dim is None else output_dim
        self.output_dim = check_size("output_dim", output_dim)
        if check_bool("masking", masking) and self.reconstructs:
            raise ValueError("masking is for class scores: give output_dim, the number of classes")
        self.mask = ClassMask() if masking else None
        self.hidden_dim = h = check_size("hidden_dim", hidden_dim)
        self.latent_dim = check_size("latent_dim", latent_dim, at_least=2)
        check_layers("the autoencoder", input_dim, h, h, latent_dim, h, self.output_dim)
        sde_options = check_mapping("sde_options", sde_options)
        check_options("an SDE", sde_options, NeuralSDE)
        options = check_mapping("hypernetwork_options", hypernetwork_options)
        check_choice("generated", generated, GENERATED)
        self.noise = SeededNoise(seed)
        self.encoder = nn.Sequential(
            OrderedDict(
                hidden_1=nn.Linear(input_dim, hidden_dim),
                gelu_1=nn.GELU(),
                hidden_2=nn.Linear(hidden_dim, hidden_dim),
                gelu_2=nn.GELU(),
                to_latent=nn.Linear(hidden_dim, latent_dim),
            )
        )
        self.whitening = TaskWhitening(latent_dim)
        self.density = TaskDensity(latent_dim)
        self.flow = ManifoldNormalizingFlow(
            latent_dim, n_layers=flow_layers, hidden_dim=flow_hidden_dim
        )
        make_sde = partial(NeuralSDE, latent_dim, **{"hidden_dim": sde_hidden_dim, **sde_options})
        self.encoder_sde = make_sde(horizon=encoder_horizon, n_steps=encoder_steps)
        self.decoder_sde = make_sde(horizon=decoder_horizon, n_steps=decoder_steps)
        self.decoder = nn.Sequential(
            OrderedDict(
                hidden=nn.Linear(latent_dim, hidden_dim),
                gelu=nn.GELU(),
                to_output=nn.Linear(hidden_dim, self.output_dim),
            )
        )
        parameters = dict(self.named_parameters())
        names = [name for name in parameters if name.startswith(GENERATED[generated])]
        self.hand_over(names, hypernetwork, **{"seed": self.noise.seed, **options})

    def _forward(self, x: Tensor, task_labels: Tensor | int) -> Tensor:
        return self.forward_with_latents(x, task_labels).reconstruction

    def forward_with_latents(self, x: Tensor, task_labels: Tensor | int) -> HSFOutput:
        """The reconstruction and the latents on the way to it.

        Args:
            x: A `n x *features` tensor with `input_dim` features per sample.
            task_labels: One integer for all samples, or an integer tensor of shape (n,).

        Raises:
            TypeError: Labels are no integers, or x is not of the model's type.
            ValueError: As in `forward`.
        """
        flat = self._flattened(x)
        written = self.write(task_labels, len(flat))
        if self.is_guarded:
            self.guard.check_input(flat, written.groups.tasks)
        z0 = self.run("encoder", written, flat)
        z_T = self.evolve(z0, written)
        out = self.decode(z_T, written)
        if self.is_guarded:
            self.guard.watch(self, out, written.groups.tasks)
        return HSFOutput(out.view(x.shape) if self.reconstructs else out, z0, z_T, written)

    def encode(self, x: Tensor, task_labels: Labels) -> Tensor:
        """z0, a `n x latent_dim` tensor; x as in `forward_with_latents`."""
        flat = self._flattened(x)
        return self.run("encoder", self.write(task_labels, len(flat), "encoder."), flat)

    def evolve(self, z0: Tensor, task_labels: Labels) -> Tensor:
        """z_T, one path of the first SDE from each row of z0; both `n x latent_dim`."""
        written = self.write(task_labels, len(z0), "encoder_sde.")
        return self._solve("encoder_sde", written, z0)

    def decode(self, z_T: Tensor, task_labels: Labels) -> Tensor:
        """From z_T, `n x latent_dim`, to a flat reconstruction or output, `n x output_dim`."""
        written = self.write(task_labels, len(z_T), "decoder")
        out = self.run("decoder", written, self._solve("decoder_sde", written, z_T))
        return out if self.mask is None else self.mask(out, written.groups)

    def flow_of(
        self, z0: Tensor, task_labels: Labels, *, blur: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """u, `n x latent_dim`, and log |det du/dz0| in nats, shape (n,), for the z0 of some tasks.

        z0 is whitened first where a task's mean and spread are known, see `TaskWhitening`; blur is
        added to the whitened ones.
        """
        written = self.write(task_labels, len(z0), "flow.")
        if self.is_guarded:  # a likelihood trains the flow of these tasks
            self.density.by_flow.update(written.groups.tasks)
        whitened, log_det_w = self.whitening(z0, written.groups)
        blurred = whitened if blur is None else whitened + blur
        u, log_det = self.run("flow", written, blurred)
        return u, log_det + log_det_w

    def diffusion_of(self, z0: Tensor, task_labels: Labels) -> Tensor:
        """g(z0) of the first SDE, `n x latent_dim` to `n x latent_dim`."""
        block = "encoder_sde.diffusion"
        written = self.write(task_labels, len(z0), f"{block}.")
        return self.encoder_sde.bounded(self.run(block, written, z0))

    def log_prob(self, x: Tensor, task: Tensor | int) -> Tensor:
        """log p(z0) of the encoded samples, in nats, shape (n,).

        p is the task's `LatentMixture` where one was fitted, else the flow. It is a density over
        the latent z0, not over x: the encoder is not invertible, so equation (2) of the paper,
        which calls it log p(x), lacks the encoder's volume term. ValueError if it was never fitted.
        """
        return self.log_prob_of(self.encode(x, task), task)

    def log_prob_of(self, z0: Tensor, task_labels: Labels) -> Tensor:
        """`log_prob` of latents, `n x latent_dim`."""
        written = self.write(task_labels, len(z0), "flow.")

        def by_flow() -> Tensor:
            u, log_det = self.flow_of(z0, written)
            return self.flow.base.log_prob(u) + log_det

        return self.density.log_prob(z0, written.groups, by_flow)

    @torch.no_grad()
    def sample(
        self, n: int, task: Tensor | int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws n samples of a task, `n x output_dim`: z0 ~ p, SDEs, decoder.

        They are flat, whatever the shape of x: `sample(n, task).view(-1, *shape)`. The decoder's
        output has no bounds, so pixels may leave 0..1: `clamp(0, 1)`.

        p is as in `log_prob`, and refused likewise; under the flow z0 = F^-1(u), u ~ N(0, I).

        Args:
            n: At least 1.
            task: One task label, or an integer tensor of shape (n,).
            generator: Source of z0; the model's own if None. The SDEs draw from the model's own.
        """
        check_int("n", n, at_least=1)
        written = self.write(task, n)
        generator = generator or self._generator
        u = self._like.new_empty(n, self.latent_dim).normal_(generator=generator)

        def by_flow() -> Tensor:
            whitened, _ = self.run("flow", written, u, inverse=True)
            return self.whitening.inverse(whitened, written.groups)

        z0 = self.density.sample(u, written.groups, by_flow, generator)
        return self.decode(self.evolve(z0, written), written)

    @property
    def _like(self) -> Tensor:
        """A tensor of the model's device and type, whatever is written."""
        return self.get_submodule("decoder.to_output").weight

    @property
    def _generator(self) -> torch.Generator:
        return self.noise.generator(self._like.device)

    def _flattened(self, x: Tensor) -> Tensor:
        flat = x.flatten(1) if x.dim() > 1 else x
        if flat.dim() != 2 or flat.shape[1] != self.input_dim:
            raise ValueError(
                f"x must be (n, *features) with {self.input_dim} features per sample, "
                f"got shape {tuple(x.shape)}"
            )
        if len(x) == 0 or not x.is_floating_point():
            check_samples("x", x)  # raises with the reason
        if x.dtype != self._like.dtype:
            raise TypeError(f"x must be {self._like.dtype} as the model, got {x.dtype}")
        return flat

    def _solve(self, block: str, written: Written, z: Tensor) -> Tensor:
        sde: Any = self.get_submodule(block)
        noise = sde.draw_noise(len(z), self._generator, silent=self.noise.silent)
        return self.run(block, written, z, noise)
