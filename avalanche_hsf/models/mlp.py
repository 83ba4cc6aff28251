"""The paper's baseline, and its two forms that know the task."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.models import MultiTaskModule
from torch import Tensor, nn
from torch.nn.functional import one_hot

from avalanche_hsf.checks import check_int, check_task_labels


class MLPAutoencoder(nn.Module):
    """An autoencoder of the HSF's main sizes that knows no tasks: in-h-h-latent, latent-h-h-in.

    GELU between the layers, none after the latent or the output.

    Source: section 3.1 of the paper; sizes from the author's public code.

    Args:
        input_dim: Number of features of one sample, all dimensions but the first multiplied.
        hidden_dim: Width of the hidden layers.
        latent_dim: Width of the bottleneck.

    Example:
        >>> import torch
        >>> MLPAutoencoder(64)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(self, input_dim: int, *, hidden_dim: int = 64, latent_dim: int = 24) -> None:
        super().__init__()
        self.input_dim = check_int("input_dim", input_dim, at_least=1)
        check_int("hidden_dim", hidden_dim, at_least=1)
        check_int("latent_dim", latent_dim, at_least=1)
        self.encoder = _mlp(input_dim, hidden_dim, latent_dim)
        self.decoder = _mlp(latent_dim, hidden_dim, input_dim)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of a `n x *features` tensor, in its shape."""
        return self.decoder(self.encoder(_flat(x, self.input_dim))).view(x.shape)


class TaskAwareMLPAutoencoder(MultiTaskModule):
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
        self.known_train_tasks_labels: set[int]  # set by Avalanche's base class
        self.input_dim = check_int("input_dim", input_dim, at_least=1)
        self.n_tasks = check_int("n_tasks", n_tasks, at_least=1)
        check_int("hidden_dim", hidden_dim, at_least=1)
        check_int("latent_dim", latent_dim, at_least=1)
        self.encoder = _mlp(input_dim + n_tasks, hidden_dim, latent_dim)
        self.decoder = _mlp(latent_dim + n_tasks, hidden_dim, input_dim)

    def adaptation(self, experience: Any) -> None:
        """Notes the tasks of an experience in training.

        Avalanche's own version looks for class labels, which a reconstruction stream has not.

        Raises:
            ValueError: A task label of a training experience is not below `n_tasks`.
        """
        if self.training:
            labels = {int(label) for label in getattr(experience, "task_labels", ())}
            for label in labels:
                self._check_label(label)
            self.known_train_tasks_labels.update(labels)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """The reconstruction.

        Args:
            x: A `n x *features` tensor with `input_dim` features a sample.
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
        flat = _flat(x, self.input_dim)
        code = self._one_hot(task_labels, flat)
        latent = self.encoder(torch.cat([flat, code], dim=1))
        return self.decoder(torch.cat([latent, code], dim=1)).view(x.shape)

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        """`forward` for one task; part of Avalanche's `MultiTaskModule`."""
        return self(x, task_label)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Tensor]:
        """`forward` for every task trained so far, by task label."""
        return {task: self(x, task) for task in sorted(self.known_train_tasks_labels)}

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


class SeparateMLPAutoencoders(MultiTaskModule):
    """One `MLPAutoencoder` per task: nothing shared, nothing forgotten, and as many parameters.

    A network is added when a strategy adapts the model to a training experience with a new task.
    The first one exists from the start, so that an optimizer can be made, and becomes that of
    the first task. In evaluation a task that was never trained is served by the first task's
    network. Batches may mix tasks.

    Args:
        input_dim: Number of features of one sample, all dimensions but the first multiplied.
        hidden_dim: Width of the hidden layers.
        latent_dim: Width of the bottleneck.

    Example:
        >>> model = SeparateMLPAutoencoders(3)
        >>> model.add_task(7)
        >>> model.add_task(2)
        >>> model.tasks
        [7, 2]
        >>> model.copy_task(7, 2)
        >>> x = torch.randn(4, 3)
        >>> torch.equal(model(x, 7), model(x, 2))
        True
    """

    def __init__(self, input_dim: int, *, hidden_dim: int = 64, latent_dim: int = 24) -> None:
        super().__init__()
        self.known_train_tasks_labels: set[int]  # set by Avalanche's base class
        self._sizes = {"hidden_dim": hidden_dim, "latent_dim": latent_dim}
        self.input_dim = input_dim
        self.networks = nn.ModuleList([MLPAutoencoder(input_dim, **self._sizes)])
        self._index_of: dict[int, int] = {}

    @property
    def tasks(self) -> list[int]:
        """The labels of all tasks that have a network, in order of arrival."""
        return list(self._index_of)

    def add_task(self, label: int) -> None:
        """Makes a network for a task, with fresh weights; does nothing if the task has one."""
        label = check_int("a task label", label, at_least=0)
        if label in self._index_of:
            return
        if self._index_of:
            first = next(self.networks[0].parameters())
            new = MLPAutoencoder(self.input_dim, **self._sizes)
            self.networks.append(new.to(first.device, first.dtype))
        self._index_of[label] = len(self.networks) - 1

    def copy_task(self, source: int, target: int) -> None:
        """Gives the network of task `target` the weights of the network of task `source`.

        Raises:
            ValueError: One of them has no network.
        """
        for label in (source, target):
            if label not in self._index_of:
                raise ValueError(f"task {label} has no network, only {self.tasks} have")
        weights = self.networks[self._index_of[source]].state_dict()
        self.networks[self._index_of[target]].load_state_dict(weights)

    def adaptation(self, experience: Any) -> None:
        """Adds a network for each new task of an experience in training."""
        if self.training:
            for label in sorted({int(each) for each in getattr(experience, "task_labels", ())}):
                self.add_task(label)
                self.known_train_tasks_labels.add(label)

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """The reconstruction, each sample by the network of its task.

        Args:
            x: A `n x *features` tensor with `input_dim` features a sample.
            task_labels: One integer for all samples, or an integer tensor of shape (n,), or None
                for the reconstruction by every network, as in Avalanche.

        Returns:
            A tensor in the shape of x; for None a dictionary of them by task label.

        Raises:
            TypeError: Labels are no integers.
            ValueError: x has another number of features, or there is not one label for each
                sample, or, in training mode, a task has no network.
        """
        if task_labels is None:
            return self.forward_all_tasks(x)
        if not isinstance(task_labels, Tensor):
            return self._network(check_int("a task label", task_labels, at_least=0))(x)
        task_labels = check_task_labels(task_labels, len(x))
        labels = task_labels.unique().tolist()
        if len(labels) == 1:
            return self._network(labels[0])(x)
        out = torch.empty_like(x)
        for label in labels:
            rows = task_labels == label
            out[rows] = self._network(label)(x[rows])
        return out

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        """`forward` for one task; part of Avalanche's `MultiTaskModule`."""
        return self(x, task_label)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Tensor]:
        """`forward` by every task's network, by task label."""
        return {task: self(x, task) for task in self.tasks}

    def _network(self, label: int) -> nn.Module:
        if label not in self._index_of and self.training:
            raise ValueError(
                f"task {label} has no network yet, only {self.tasks} have; Avalanche strategies "
                "add it when they adapt the model, elsewhere call add_task"
            )
        return self.networks[self._index_of.get(label, 0)]

    def get_extra_state(self) -> Tensor:
        """The task labels, kept in a `state_dict`."""
        return torch.tensor(self.tasks, dtype=torch.long)

    def set_extra_state(self, state: Tensor) -> None:
        """Part of `load_state_dict`, which added the networks before it came here."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        for label in state_dict.get(f"{prefix}_extra_state", ()):
            self.add_task(int(label))
        super()._load_from_state_dict(state_dict, prefix, *args)


def _mlp(n_in: int, hidden_dim: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden_dim),
        nn.GELU(),
        nn.Linear(hidden_dim, hidden_dim),
        nn.GELU(),
        nn.Linear(hidden_dim, n_out),
    )


def _flat(x: Tensor, input_dim: int) -> Tensor:
    flat = x.flatten(1)
    if flat.shape[1] != input_dim:
        raise ValueError(f"x must have {input_dim} features a sample, got shape {tuple(x.shape)}")
    return flat
