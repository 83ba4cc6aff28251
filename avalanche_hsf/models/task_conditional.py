"""Any torch module, with weights of its own for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from avalanche.models import DynamicModule, MultiTaskModule
from torch import Tensor, nn

from avalanche_hsf.models.hypernetworks import make_hypernetwork
from avalanche_hsf.models.task_groups import TaskGroups
from avalanche_hsf.models.task_module import TaskModule
from avalanche_hsf.models.task_statistics import TaskStatistics
from avalanche_hsf.models.task_weights import TaskWeights, call_per_task, release
from avalanche_hsf.seeds import resolve_seed


class TaskConditional(TaskModule):
    """A module whose parameters, all or some, a hypernetwork writes for each task.

    The module keeps its structure and its code; it runs with the weights of the task
    (`torch.func.functional_call`), and on batches that mix tasks with several sets side by side
    (`torch.vmap`). What is not written stays the module's own, shared by all tasks and protected
    by nothing (see `FreezeSharedPlugin`).

    Running statistics of batch and instance normalization are kept for each task, see
    `TaskStatistics`; a module with such layers runs mixed batches task by task, so that each
    task is normalized by itself. Other buffers are shared.

    An Avalanche `MultiTaskModule`: every strategy passes it task labels and grows it by each new
    task. It classifies, regresses or reconstructs, whatever the module does. With scores for all
    classes of a stream the last layer, written per task, is a head for each task.

    Cost against the plain module: of memory, the weights that are written exist once more for
    each distinct task in a batch, and what the hypernetwork keeps per task; of time, writing
    them, which does not depend on the batch (`IsolatedHyperNetwork`: nothing while a task is in
    training).

    Args:
        module: Any module from one tensor of n rows to a tensor of n rows. It becomes part of the
            model; the parameters that are written leave it.
        written: Names of parameters to write, or what names begin with. Default: every parameter
            that requires a gradient.
        hypernetwork: A name in `HYPERNETWORKS`, or a class or function like those there.
        hypernetwork_options: Its further arguments.
        vectorized: Run the tasks of a mixed batch side by side. False: one after the other, for a
            module that `torch.vmap` cannot run, such as one that branches on its data.
        seed: Seed of the hypernetwork's draws; if None it is drawn from torch's global generator.

    Raises:
        TypeError: The module is a `MultiTaskModule` already, or not initialized yet.
        ValueError: A name that no parameter has (the message lists those there are), nothing to
            write, a parameter shared by two layers, or one of a layer that grows by itself.

    Example:
        >>> import torch
        >>> model = TaskConditional(nn.Linear(3, 2), seed=0)
        >>> model.hypernetwork.add_task(4)
        >>> model(torch.zeros(5, 3), 4).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        written: Sequence[str] | None = None,
        hypernetwork: str | Callable[..., TaskWeights] = "isolated",
        hypernetwork_options: Mapping[str, Any] | None = None,
        vectorized: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(module, MultiTaskModule):
            raise TypeError(
                f"{type(module).__name__} is a MultiTaskModule already: give the network of a "
                "single task"
            )
        names = _to_write(module, written)
        self.module = module
        self.statistics = TaskStatistics(module)
        self.vectorized = vectorized and not self.statistics.names
        self.hypernetwork = make_hypernetwork(
            hypernetwork,
            {name: release(module, name) for name in names},
            seed=resolve_seed(seed),
            **(hypernetwork_options or {}),
        )

    @property
    def tasks(self) -> list[int]:
        return self.hypernetwork.tasks

    def adaptation(self, experience: Any) -> None:
        """Notes the tasks; the hypernetwork, a child module, grows by itself.

        Raises:
            ValueError: A parameter that is written has been replaced by another since.
        """
        super().adaptation(experience)
        for name, shape in self.hypernetwork.shapes.items():
            path, _, last = name.rpartition(".")
            found = getattr(self.module.get_submodule(path), last, None)
            if isinstance(found, nn.Parameter) or found is None or found.shape != shape:
                now = "is gone" if found is None else f"is one of shape {tuple(found.shape)} now"
                raise ValueError(
                    f"{name} was written by the hypernetwork with shape {shape}, but {now}: the "
                    "module must not change once it is wrapped; leave layers that do out of "
                    "written="
                )

    def forward(self, x: Tensor, task_labels: Tensor | int | None) -> Any:
        """The module's output, each row with the weights of its task.

        Args:
            x: A `n x *` tensor.
            task_labels: One integer for all rows, or an integer tensor of shape (n,), or None for
                the output of every task, as in Avalanche.

        Returns:
            What the module returns for n rows; for None a dictionary of them by task label.

        Raises:
            TypeError: Labels are no integers.
            ValueError: Labels are negative, of the wrong shape or, in training mode, not among the
                tasks added so far.
        """
        if task_labels is None:
            return self.forward_all_tasks(x)
        groups = TaskGroups.from_labels(task_labels, len(x))
        weights = self.hypernetwork(groups.tasks)
        if self.vectorized or len(groups.tasks) == 1:
            return call_per_task(self.module, {**weights, **self._statistics(groups)}, groups, x)
        out = None
        for k, task in enumerate(groups.tasks):
            rows = task_labels == task
            of_task = {name: w[k : k + 1] for name, w in weights.items()}
            group = TaskGroups([task])
            y = call_per_task(self.module, {**of_task, **self._statistics(group)}, group, x[rows])
            out = y.new_empty(len(x), *y.shape[1:]) if out is None else out
            out[rows] = y
        return out

    def _statistics(self, groups: TaskGroups) -> dict[str, Tensor]:
        if not self.statistics.names:
            return {}
        of_task = self.statistics(groups.tasks[0])
        return {name: value.unsqueeze(0) for name, value in of_task.items()}


def _to_write(module: nn.Module, written: Sequence[str] | None) -> list[str]:
    """Names of the parameters to write, in the module's order."""
    if isinstance(written, str):
        raise TypeError(f"written must be a list of names, got the string {written!r}")
    parameters = dict(module.named_parameters(remove_duplicate=False))
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters.values()):
        raise TypeError("the module has parameters without a shape yet: run a batch through it")
    for name in written or ():
        if not any(other.startswith(name) for other in parameters):
            raise ValueError(
                f"there is no parameter {name!r}, and none that begins so; there are "
                f"{', '.join(parameters)}"
            )
    names = [
        name
        for name, p in parameters.items()
        if (p.requires_grad if written is None else name.startswith(tuple(written)))
    ]
    if not names:
        raise ValueError("there is nothing to write: the module has no parameter to train")
    for name in names:
        twins = [n for n, p in parameters.items() if p is parameters[name] and n != name]
        if twins:
            raise ValueError(
                f"{name} and {twins[0]} are one parameter: leave both out of written=, or give "
                "each layer its own"
            )
    for path, layer in module.named_modules():
        of_layer = [name for name in names if name.startswith(f"{path}." if path else "")]
        if isinstance(layer, DynamicModule) and of_layer:
            raise ValueError(
                f"{path or type(layer).__name__} grows with the stream (a DynamicModule), so "
                f"{of_layer[0]} cannot be written: leave it out of written=, or give the module a "
                "layer with an output for every class"
            )
    return names
