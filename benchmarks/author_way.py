"""The author's way of computing a training step, on the weights of one of our models.

Weights are written once per sample instead of once per task, drift and diffusion are evaluated
one after the other in a bare Euler-Maruyama loop, stored latents are decoded one at a time, and
the optimizer is torch's default AdamW. The mathematics is that of `HSFStrategy` with the preset
"paper"; only the time differs.

Source: the author's public code, vandoanh1999/hypernet-sde-learner, read and written anew.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import gelu, mse_loss

from avalanche_hsf.models import HypernetSDEFlow, NeuralSDE
from avalanche_hsf.training import BetaSchedule, negative_log_likelihood


class AuthorWay:
    """One learner that trains in the author's way.

    Args:
        model: Where the weights come from; it is copied.
        memory: Stored samples x, latents z_T and task labels, or None for no replay.
        tasks: Tasks to come. Their embeddings are made and optimized from the start, with gradient
            zero as long as they are not in use: to Adam the same as rows of one table.
    """

    def __init__(
        self,
        model: HypernetSDEFlow,
        memory: tuple[Tensor, Tensor, Tensor] | None = None,
        tasks: Sequence[int] = (),
    ) -> None:
        self.model = copy.deepcopy(model)
        for task in tasks:
            self.model.hypernetwork.add_task(task)
        self.memory = memory
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-4)
        self.beta = BetaSchedule()

    def step(self, x: Tensor, task: int, epoch: int) -> float:
        """One full-batch training step; returns the loss."""
        self.optimizer.zero_grad()
        model = self.model
        embedding = model.hypernetwork.task_embedding
        h = gelu(self._dynamic(x, "encoder.hidden_1", task))
        h = gelu(self._dynamic(h, "encoder.hidden_2", task))
        z0 = model.encoder.to_latent(h)
        u, log_det = model.flow(z0)
        reconstruction = self._decode(self._solve(model.encoder_sde, z0), task)
        loss = mse_loss(reconstruction, x)
        loss = loss + self.beta(epoch) * negative_log_likelihood(u, log_det)
        if self.memory is not None and epoch % 5 == 0:
            drawn = torch.randperm(len(self.memory[0]))[:32]
            replay = torch.zeros(())
            for i in drawn.tolist():
                x_i, z_i, task_i = (column[i : i + 1] for column in self.memory)
                replay = replay + mse_loss(self._decode(z_i, int(task_i)), x_i)
            loss = loss + 2.0 * replay / len(drawn)
        for other in embedding.tasks:
            if other < task:
                distance = torch.norm(embedding([task]) - embedding([other]))
                loss = loss + 1.5 * torch.exp(-distance)
        loss.backward()
        for e in embedding.embeddings.values():
            if e.grad is None:
                e.grad = torch.zeros_like(e)
        self.optimizer.step()
        return float(loss.detach())

    def _dynamic(self, x: Tensor, layer: str, task: int) -> Tensor:
        hypernetwork = self.model.hypernetwork
        weights = hypernetwork.write(hypernetwork.task_embedding([task]).expand(len(x), -1), layer)
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        return torch.baddbmm(bias.unsqueeze(1), x.unsqueeze(1), weight.transpose(1, 2)).squeeze(1)

    def _decode(self, z: Tensor, task: int) -> Tensor:
        h = gelu(self._dynamic(self._solve(self.model.decoder_sde, z), "decoder.hidden", task))
        return self.model.decoder.to_output(h)

    def _solve(self, sde: NeuralSDE, z: Tensor) -> Tensor:
        h = sde.horizon / sde.n_steps
        generator = self.model.noise.generator("cpu")
        for _ in range(sde.n_steps):
            noise = torch.randn(z.shape, generator=generator) * math.sqrt(h)
            z = z + sde.drift(z) * h + torch.sigmoid(sde.diffusion(z)) * noise
        return z
