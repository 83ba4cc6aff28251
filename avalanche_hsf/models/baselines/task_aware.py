"""The paper's baseline, told the task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from avalanche_hsf.checks import check_int, check_task_labels
from avalanche_hsf.models.baselines.mlp import flattened, mlp
from avalanche_hsf.models.tasks.module import TaskModule


class TaskAwareMLPAutoencoder(TaskModule):
    """An `MLPAutoencoder` that is told the task, as one shared network.

    The one-hot task label is appended to the input of the encoder and to the latent before the
    decoder: in+n-h-h-latent, latent+n-h-h-in for n tasks.

    An Avalanche `MultiTaskModule`: every strategy passes it task labels, batches may mix them.

    Args:
        input_dim: Number of features of one sample, all dimensions but the first multiplied.
        n_tasks: Number of tasks there can be; labels are 0 to n_tasks - 1.
        hidden_dim: Width of the hidden layers.
        latent_dim: Width of the bottleneck.

    Example:
        >>> model = TaskAwareMLPAutoencoder(3, n_tasks=5)
        >>> model(torch.zeros(4, 3), torch.tensor([0, 4, 4, 1])).shape
        torch.Size([4, 3])
    """

    def __init__(
        self, input_dim: int, n_tasks: int, *, hidden_dim: int = 64, latent_dim: int = 24
    ) -> None:
        super().__init__()
        self.input_dim = check_int("input_dim", input_dim, at_least=1)
        self.n_tasks = check_int("n_tasks", n_tasks, at_least=1)
        check_int("hidden_dim", hidden_dim, at_least=1)
        check_int("latent_dim", latent_dim, at_least=1)
        self.encoder = mlp(input_dim + n_tasks, hidden_dim, latent_dim)
        self.decoder = mlp(latent_dim + n_tasks, hidden_dim, input_dim)

    def adaptation(self, experience: Any) -> None:
        """Notes the tasks of an experience in training.

        Raises:
            ValueError: A task label of a training experience is not below `n_tasks`.
        """
        if self.training:
            for label in getattr(experience, "task_labels", ()):
                self._check_label(int(label))
        super().adaptation(experience)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """The reconstruction.

        Args:
            x: A `n x *features` tensor with `input_dim` features per sample.
            task_labels: One integer for all samples, or an integer tensor of shape (n,), or None
                for the reconstruction under every trained task, as in Avalanche.

        Returns:
            A tensor in the shape of x; for None a dictionary of them by task label.

        Raises:
            TypeError: Labels are no integers.
            ValueError: x has another number of features, or a label is not in 0 to n_tasks - 1,
                or there is not one for each sample.
        """
        if task_labels is None:
            return self.forward_all_tasks(x)
        flat = flattened(x, self.input_dim)
        code = self._one_hot(task_labels, flat)
        latent = self.encoder(torch.cat([flat, code], dim=1))
        return self.decoder(torch.cat([latent, code], dim=1)).view(x.shape)

    def _check_label(self, label: int) -> None:
        if not 0 <= label < self.n_tasks:
            raise ValueError(
                f"task label {label} is not in 0 to {self.n_tasks - 1}: "
                f"this TaskAwareMLPAutoencoder was made with n_tasks={self.n_tasks}"
            )

    def _one_hot(self, task_labels: Tensor | int, flat: Tensor) -> Tensor:
        if isinstance(task_labels, Tensor):
            task_labels = check_task_labels(task_labels, len(flat))
            for label in torch.stack(torch.aminmax(task_labels)).tolist():
                self._check_label(label)
            return one_hot(task_labels.long(), self.n_tasks).to(flat)
        label = check_int("a task label", task_labels, at_least=0)
        self._check_label(label)
        code = flat.new_zeros(len(flat), self.n_tasks)
        code[:, label] = 1
        return code
