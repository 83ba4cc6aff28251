"""The paper's baseline, told the task."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from avalanche_hsf.checks import check_int, check_layers, check_size, check_task_labels
from avalanche_hsf.models.baselines.mlp import flattened, mlp
from avalanche_hsf.models.tasks.module import TaskModule


class TaskAwareMLPAutoencoder(TaskModule):
    """An `MLPAutoencoder` that is told the task, as one shared network.

    The one-hot task label is appended to the input of the encoder and to the latent before the
    decoder: in+n-h-h-latent, latent+n-h-h-in for n tasks. Batches may mix tasks. Other arguments
    as in `MLPAutoencoder`.

    Args:
        n_tasks: Number of tasks there can be; a label beyond n_tasks - 1 is a ValueError.

    Example:
        >>> model = TaskAwareMLPAutoencoder(3, n_tasks=5)
        >>> model(torch.zeros(4, 3), torch.tensor([0, 4, 4, 1])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self, input_dim: int, n_tasks: int, *, hidden_dim: int = 64, latent_dim: int = 24
    ) -> None:
        super().__init__()
        self.input_dim = check_size("input_dim", input_dim)
        self.n_tasks = check_size("n_tasks", n_tasks)
        check_size("hidden_dim", hidden_dim)
        check_size("latent_dim", latent_dim)
        widths = (input_dim + n_tasks, hidden_dim, hidden_dim, latent_dim)
        check_layers("the autoencoder", *widths, times=2)
        self.encoder = mlp(input_dim + n_tasks, hidden_dim, latent_dim)
        self.decoder = mlp(latent_dim + n_tasks, hidden_dim, input_dim)

    def _forward(self, x: Tensor, task_labels: Tensor | int) -> Tensor:
        """The reconstruction, in the shape of x."""
        flat = flattened(x, self.input_dim)
        code = self._one_hot(task_labels, flat)
        latent = self.encoder(torch.cat([flat, code], dim=1))
        return self.decoder(torch.cat([latent, code], dim=1)).view(x.shape)

    def _prepare(self, label: int) -> None:
        if not 0 <= label < self.n_tasks:
            raise ValueError(
                f"task label {label} is not in 0 to {self.n_tasks - 1}: "
                f"this TaskAwareMLPAutoencoder was made with n_tasks={self.n_tasks}"
            )

    def _one_hot(self, task_labels: Tensor | int, flat: Tensor) -> Tensor:
        if isinstance(task_labels, Tensor):
            check_task_labels(task_labels, len(flat))
            for label in torch.stack(torch.aminmax(task_labels)).tolist():
                self._prepare(label)
            return one_hot(task_labels.long(), self.n_tasks).to(flat)
        label = check_int("a task label", task_labels, at_least=0)
        self._prepare(label)
        return one_hot(torch.tensor(label), self.n_tasks).to(flat).expand(len(flat), -1)
