"""The paper's system: hypernetwork, neural SDE and normalizing flow in one autoencoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from avalanche.models import MultiTaskModule
from torch import Tensor, nn
from torch.nn.functional import gelu

from avalanche_hsf.checks import check_int, check_samples
from avalanche_hsf.models.flow import ManifoldNormalizingFlow
from avalanche_hsf.models.hypernetwork import HyperNetwork, linear_shapes, paper_hidden_dims
from avalanche_hsf.models.noise import SeededNoise
from avalanche_hsf.models.sde import NeuralSDE
from avalanche_hsf.models.task_embedding import TaskEmbedding
from avalanche_hsf.models.task_groups import TaskGroups, task_linear


class HSFOutput(NamedTuple):
    """Everything one pass through `HypernetSDEFlow` computes, for a batch of n samples.

    Attributes:
        reconstruction: In the shape of x.
        u: The flow's image of z0, `n x latent_dim`.
        log_det: log |det du/dz0| in nats, shape (n,).
        z0: The encoder's output, `n x latent_dim`.
        z_T: z0 after the first SDE, `n x latent_dim`.
    """

    reconstruction: Tensor
    u: Tensor
    log_det: Tensor
    z0: Tensor
    z_T: Tensor


class HypernetSDEFlow(MultiTaskModule):
    r"""Hypernet-SDE-Flow, a task-conditional stochastic autoencoder.

    With weights W_t, b_t written by a hypernetwork from the task embedding e_t:

    encoder:  z0  = L_z gelu(W_2 gelu(W_1 x + b_1) + b_2)
    flow:     u   = F(z0),  log p(z0) = log N(u; 0, I) + log |det dF/dz0|
    SDE:      z_T = Z(T_enc),  dZ = f(Z) dt + g(Z) dW,  Z(0) = z0
    decoder:  x^  = L_x gelu(W_3 Z'(T_dec) + b_3),  Z' a second SDE, Z'(0) = z_T

    Layers 1, 2 and 3 are written per task, everything else is shared by all tasks.

    An Avalanche `MultiTaskModule`: a strategy passes it task labels and grows it by an embedding
    when a new task arrives. Evaluating a task that was never trained is allowed and uses the
    zero embedding, see `TaskEmbedding`. A pass draws noise, in evaluation too; where it comes
    from is said in `SeededNoise`. Initial weights come from torch's global generator, as usual.

    Source: section 2 of the paper; sizes and horizons from the author's public code.

    Args:
        input_dim: Number of features of one sample, all dimensions but the first multiplied.
        hidden_dim: Width of encoder and decoder.
        latent_dim: Size of z0, at least 2 (the flow needs two halves).
        task_embedding_dim: Size of e_t.
        embedding_std: Standard deviation of a new e_t.
        flow_layers: Number of affine couplings.
        flow_hidden_dim: Hidden width of each coupling.
        sde_hidden_dim: Hidden width of drift and diffusion.
        encoder_horizon: T_enc, dimensionless, above 0.
        decoder_horizon: T_dec, likewise.
        solver_steps: Euler-Maruyama steps of each of the two SDEs.
        seed: Seed of the SDE's noise and of new task embeddings, at least 0; if None it is drawn
            from torch's global generator.

    Example:
        >>> model = HypernetSDEFlow(input_dim=64)
        >>> model.task_embedding.add_task(0)
        >>> model(torch.zeros(5, 1, 8, 8), 0).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        input_dim: int,
        *,
        hidden_dim: int = 64,
        latent_dim: int = 24,
        task_embedding_dim: int = 16,
        embedding_std: float = 0.02,
        flow_layers: int = 4,
        flow_hidden_dim: int = 64,
        sde_hidden_dim: int = 64,
        encoder_horizon: float = 1.0,
        decoder_horizon: float = 0.5,
        solver_steps: int = 10,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.known_train_tasks_labels: set[int]  # set by Avalanche's base class
        self.input_dim = check_int("input_dim", input_dim, at_least=1)
        self.hidden_dim = check_int("hidden_dim", hidden_dim, at_least=1)
        self.latent_dim = check_int("latent_dim", latent_dim, at_least=2)
        layers = {
            "encoder_1": (input_dim, hidden_dim),
            "encoder_2": (hidden_dim, hidden_dim),
            "decoder_1": (latent_dim, hidden_dim),
        }
        self.noise = SeededNoise(seed)
        self.task_embedding = TaskEmbedding(
            task_embedding_dim, std=embedding_std, seed=self.noise.seed
        )
        self.hypernetwork = HyperNetwork(
            task_embedding_dim,
            linear_shapes(layers),
            hidden_dims=paper_hidden_dims(task_embedding_dim, layers),
        )
        self.to_latent = nn.Linear(hidden_dim, latent_dim)
        self.flow = ManifoldNormalizingFlow(
            latent_dim, n_layers=flow_layers, hidden_dim=flow_hidden_dim
        )
        self.encoder_sde = NeuralSDE(
            latent_dim, hidden_dim=sde_hidden_dim, horizon=encoder_horizon, n_steps=solver_steps
        )
        self.decoder_sde = NeuralSDE(
            latent_dim, hidden_dim=sde_hidden_dim, horizon=decoder_horizon, n_steps=solver_steps
        )
        self.decoder_2 = nn.Linear(hidden_dim, input_dim)

    def adaptation(self, experience: Any) -> None:
        """Notes the tasks of an experience; the embedding, a child module, grows by itself.

        Avalanche's own version looks for class labels, which a reconstruction stream has not.
        """
        if self.training:
            labels = getattr(experience, "task_labels", ())
            self.known_train_tasks_labels.update(labels)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """The reconstruction alone, so that any Avalanche strategy can train the model.

        Args:
            x: A `n x *features` tensor with `input_dim` features a sample.
            task_labels: One integer for all samples, or an integer tensor of shape (n,), or None
                for the reconstruction under every trained task, as in Avalanche.

        Returns:
            A tensor in the shape of x; for None a dictionary of them by task label.

        Raises:
            TypeError: Labels are no integers.
            ValueError: x has another number of features, or labels are negative, of the wrong
                shape, or, in training mode, not among the tasks added so far.
        """
        if task_labels is None:
            return self.forward_all_tasks(x)
        flat, groups, weights = self._prepare(x, task_labels)
        z0 = self._encode(flat, groups, weights)
        return self._decode(self.evolve(z0), groups, weights).view(x.shape)

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        """`forward` for one task; part of Avalanche's `MultiTaskModule`."""
        return self(x, task_label)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Tensor]:
        """`forward` for every task that has an embedding, by task label."""
        return {task: self(x, task) for task in self.task_embedding.tasks}

    def forward_with_latents(self, x: Tensor, task_labels: Tensor | int) -> HSFOutput:
        """The reconstruction and everything on the way to it; arguments as in `forward`."""
        flat, groups, weights = self._prepare(x, task_labels)
        z0 = self._encode(flat, groups, weights)
        u, log_det = self.flow(z0)
        z_T = self.evolve(z0)
        reconstruction = self._decode(z_T, groups, weights).view(x.shape)
        return HSFOutput(reconstruction, u, log_det, z0, z_T)

    def encode(self, x: Tensor, task_labels: Tensor | int) -> Tensor:
        """z0, a `n x latent_dim` tensor; arguments as in `forward`."""
        flat, groups, weights = self._prepare(x, task_labels, prefix="encoder_")
        return self._encode(flat, groups, weights)

    def evolve(self, z0: Tensor) -> Tensor:
        """z_T, one path of the first SDE from each row of z0; both `n x latent_dim`."""
        return self.encoder_sde(z0, generator=self.noise.generator(z0.device))

    def decode(self, z_T: Tensor, task_labels: Tensor | int) -> Tensor:
        """From z_T, `n x latent_dim`, to a flat reconstruction, `n x input_dim`."""
        groups = TaskGroups.from_labels(task_labels, len(z_T))
        return self._decode(z_T, groups, self._weights(groups, prefix="decoder_"))

    def log_prob(self, x: Tensor, task: Tensor | int) -> Tensor:
        """log p(z0) of the encoded samples under the flow, in nats, shape (n,).

        A density over the latent z0, not over x: the encoder is not invertible, so equation (2)
        of the paper, which calls it log p(x), lacks the encoder's volume term.

        Args:
            x: A `n x *features` tensor.
            task: Task labels as in `forward`.
        """
        return self.flow.log_prob(self.encode(x, task))

    @torch.no_grad()
    def sample(
        self, n: int, task: Tensor | int, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draws samples of a task: u ~ N(0, I), z0 = F^-1(u), both SDEs, decoder.

        Args:
            n: Number of samples, at least 1.
            task: One task label, or an integer tensor of shape (n,).
            generator: Source of u; the model's own if None. The SDEs draw from the model's own.

        Returns:
            A `n x input_dim` tensor.
        """
        check_int("n", n, at_least=1)
        if generator is None:
            generator = self.noise.generator(self.to_latent.weight.device)
        return self.decode(self.evolve(self.flow.sample(n, generator=generator)), task)

    def _prepare(
        self, x: Tensor, task_labels: Tensor | int, prefix: str = ""
    ) -> tuple[Tensor, TaskGroups, dict[str, Tensor]]:
        flat = x.flatten(1) if x.dim() > 1 else x
        if flat.dim() != 2 or flat.shape[1] != self.input_dim:
            raise ValueError(
                f"x must be (n, *features) with {self.input_dim} features a sample, "
                f"got shape {tuple(x.shape)}"
            )
        if len(x) == 0 or not x.is_floating_point():
            check_samples("x", x)  # says what is wrong
        if x.dtype != self.to_latent.weight.dtype:
            raise TypeError(f"x must be {self.to_latent.weight.dtype} as the model, got {x.dtype}")
        groups = TaskGroups.from_labels(task_labels, len(flat))
        return flat, groups, self._weights(groups, prefix)

    def _weights(self, groups: TaskGroups, prefix: str) -> dict[str, Tensor]:
        return self.hypernetwork(self.task_embedding(groups.tasks), prefix)

    def _encode(self, x: Tensor, groups: TaskGroups, weights: dict[str, Tensor]) -> Tensor:
        h = groups.scatter(x)
        h = gelu(task_linear(h, weights["encoder_1.weight"], weights["encoder_1.bias"]))
        h = gelu(task_linear(h, weights["encoder_2.weight"], weights["encoder_2.bias"]))
        return self.to_latent(groups.gather(h))

    def _decode(self, z_T: Tensor, groups: TaskGroups, weights: dict[str, Tensor]) -> Tensor:
        z = self.decoder_sde(z_T, generator=self.noise.generator(z_T.device))
        h = groups.scatter(z)
        h = gelu(task_linear(h, weights["decoder_1.weight"], weights["decoder_1.bias"]))
        return self.decoder_2(groups.gather(h))
