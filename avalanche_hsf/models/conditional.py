"""Any torch module, with weights of its own for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from avalanche.models import DynamicModule, MultiTaskModule
from torch import Tensor, nn

from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.tasks.call import map_tensors, tensors_of
from avalanche_hsf.models.tasks.class_mask import ClassMask
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.statistics import TaskStatistics
from avalanche_hsf.models.written import TaskWritten, Written
from avalanche_hsf.seeds import resolve_seed

_NOT_GIVEN = object()


class TaskConditional(TaskWritten):
    """A module whose parameters, all or some, a hypernetwork writes for each task.

    The module keeps its structure and its code; it runs with the weights of the task
    (`torch.func.functional_call`), and on batches that mix tasks with several sets side by side
    (`torch.vmap`). What is not written stays the module's own, shared by all tasks and protected
    by nothing (see `FreezeSharedPlugin`).

    Running statistics of batch and instance normalization are kept for each task, see
    `TaskStatistics`; a module with such layers runs mixed batches task by task, so that each
    task is normalized by itself. They learn from samples of tasks in training alone: neither
    replayed samples of a task that is held, nor those that all tasks are tried on, move them.
    Other buffers are shared, and must not change in training unless `task_buffers` names them.

    An Avalanche `MultiTaskModule`: every strategy passes it task labels and grows it by each new
    task. With scores for all classes of a stream the last layer, written per task, is a head for
    each task.

    Cost against the plain module: of memory, the written weights once more for each distinct task
    in a batch, and what the hypernetwork keeps per task; of time, writing them, which does not
    depend on the batch (`IsolatedHyperNetwork`: nothing while a task is in training).

    Args:
        module: Any module from one tensor of n rows to a tensor of n rows. It becomes part of the
            model; the parameters that are written leave it.
        written: Names of parameters to write, or what names begin with. Default: every parameter
            that requires a gradient.
        hypernetwork: A name in `HYPERNETWORKS`, or a class or function like those there.
        hypernetwork_options: Its further arguments.
        vectorized: Run the tasks of a mixed batch side by side. False: one after the other, for a
            module that `torch.vmap` cannot run, such as one that branches on its data.
        task_buffers: Names of buffers that training changes, besides those of normalization
            layers: each task has its own, as the power iterations of spectral normalization need.
        masking: Of class scores, leave each task those of its own classes, see `ClassMask`.
        seed: Seed of the hypernetwork's draws; if None it is drawn from torch's global generator.

    Raises:
        TypeError: The module is a `MultiTaskModule` already, or not initialized yet.
        ValueError: An unknown name of a parameter or buffer, nothing to write, a parameter shared
            by two layers, or one of a layer that grows by itself.

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
        masking: bool = False,
        task_buffers: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(module, MultiTaskModule):
            name = type(module).__name__
            raise TypeError(f"{name} is a MultiTaskModule already: give the network of one task")
        names = _to_write(module, written)
        self.module = module
        buffers = dict(module.named_buffers())
        for name in task_buffers:
            if name not in buffers:
                raise ValueError(f"unknown buffer {name!r}; choose from {', '.join(buffers)}")
        self.statistics = TaskStatistics(module, task_buffers)
        self.mask = ClassMask() if masking else None
        self.vectorized = vectorized and not self.statistics.names
        self.hand_over(names, hypernetwork, seed=resolve_seed(seed), **(hypernetwork_options or {}))
        self._shared: dict[str, tuple[float, float]] = {}
        self.register_load_state_dict_pre_hook(_forget_shared)

    @property
    def root(self) -> nn.Module:
        return self.module

    def adaptation(self, experience: Any) -> None:
        """Notes the tasks; the hypernetwork, a child module, grows by itself.

        Raises:
            ValueError: A parameter that is written has been replaced by another since, or a buffer
                that all tasks share has changed in training.
        """
        super().adaptation(experience)
        if self.training:
            self._check_shared()
        for name, shape in self.hypernetwork.shapes.items():
            path, _, last = name.rpartition(".")
            value = getattr(self.module.get_submodule(path), last, None)
            if isinstance(value, nn.Parameter) or value is None or value.shape != shape:
                now = "is gone" if value is None else f"now has shape {tuple(value.shape)}"
                raise ValueError(
                    f"{name} was written by the hypernetwork with shape {shape}, but {now}: the "
                    "module must not change once it is wrapped; leave layers that do out of "
                    "written="
                )

    def _check_shared(self) -> None:
        """Compares two numbers of each buffer that all tasks share with those of the last call."""
        per_task = {*self.statistics.names, *self.hypernetwork.shapes}
        now = {
            name: (float(value.double().sum()), float(value.double().norm()))
            for name, value in self.module.named_buffers()
            if name not in per_task
        }
        before, self._shared = self._shared, now  # reported once, then training may go on
        # Roughly, since a move to another device or type changes the last digits.
        changed = [
            name
            for name, value in now.items()
            if name in before and not np.allclose(value, before[name], rtol=1e-3, atol=1e-6)
        ]
        if changed:
            raise ValueError(
                f"training has changed {', '.join(changed)}, buffers that all tasks share: what "
                "old tasks answer changes with them. Give each task its own: "
                f"TaskConditional(..., task_buffers={changed})"
            )

    def forward(self, x: Tensor, task_labels: Any = _NOT_GIVEN) -> Any:
        """As `TaskModule.forward`, each row with the weights of its task.

        Raises:
            TypeError: Also if no labels are given at all.
            ValueError: Also if the module does not return a row for each of x.
        """
        if task_labels is _NOT_GIVEN:
            raise TypeError(
                "a TaskConditional needs the tasks of its rows: model(x, task_labels), or None for "
                "the output of every task. A strategy calls model(x) if an experience has no "
                "task_labels: apply avalanche's with_task_labels to the stream. Plugins that call "
                "model(x), GenerativeReplayPlugin for one, know no tasks: use ReplayPlugin or "
                "OutputRegularizerPlugin"
            )
        return super().forward(x, task_labels)

    def forward_all_tasks(self, x: Tensor) -> dict[int, Any]:
        """`forward` for every task, by task label; no task's statistics learn from it."""
        return {task: self._forward(x, task, learn=False) for task in self.tasks}

    def _forward(self, x: Tensor, task_labels: Tensor | int, *, learn: bool = True) -> Any:
        written = self.write(task_labels, len(x))
        groups = written.groups
        out = self._run(x, written, learn)
        if self.training and torch.is_grad_enabled() and not self._any_trains(groups.tasks):
            hook = None if self._any_trains(self.tasks) else _refuse
            out = map_tensors(lambda part: _differentiable(part, hook), out)
        return out if self.mask is None else self.mask(out, groups)

    def _run(self, x: Tensor, written: Written, learn: bool) -> Any:
        groups, weights = written.groups, written.weights
        if self.vectorized or len(groups.tasks) == 1:
            tensors = {**weights, **self._statistics(groups.tasks[0], learn)}
            return self.run("", Written(groups, tensors), x)
        outs, rows = [], []
        for k, task in enumerate(groups.tasks):
            of_task = {name: w[k : k + 1] for name, w in weights.items()}
            of_task |= self._statistics(task, learn)
            rows.append((groups.of_row == k).nonzero().flatten())  # type: ignore[union-attr]
            outs.append(self.run("", Written(TaskGroups([task]), of_task), x[rows[-1]]))
        return _merged(outs, torch.cat(rows).argsort())

    def _statistics(self, task: int, learn: bool) -> dict[str, Tensor]:
        buffers = self.statistics(task, learn=learn and self.hypernetwork.trains(task))
        return {name: buffer.unsqueeze(0) for name, buffer in buffers.items()}

    def _any_trains(self, tasks: list[int]) -> bool:
        return any(self.hypernetwork.trains(task) for task in tasks)


def _forget_shared(module: TaskConditional, *_: Any) -> None:
    module._shared = {}


def _differentiable(out: Any, hook: Callable[[Tensor], None] | None) -> Any:
    """The output of tasks that are held, as one that `backward` can start from, and ends at.

    GEM and A-GEM ask for the gradient of old tasks alone: they find none, where torch would raise.
    """
    if not isinstance(out, Tensor) or not out.is_floating_point():
        return out
    if not out.requires_grad:
        out = out.detach().requires_grad_()
    if hook is not None:
        out.register_hook(hook)
    return out


def _refuse(gradient: Tensor) -> None:
    raise ValueError(
        "no task is in training: its training was ended (commit), and the model has not been "
        "adapted to an experience since; train through a strategy, or call hypernetwork.begin"
    )


def _merged(outs: Sequence[Any], order: Tensor) -> Any:
    """The outputs of tasks one after the other, put in the order of the batch."""
    shapes = [[tuple(part.shape[1:]) for part in tensors_of(out)] for out in outs]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"the module's output for a row has another shape from task to task, {shapes}: in a "
            "batch that mixes tasks it must be the same"
        )
    return map_tensors(lambda *parts: torch.cat(parts)[order], *outs)


def _to_write(module: nn.Module, written: Sequence[str] | None) -> list[str]:
    """Names of the parameters to write, in the module's order."""
    if isinstance(written, str):
        raise TypeError(f"written must be a list of names, got the string {written!r}")
    parameters = dict(module.named_parameters(remove_duplicate=False))
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters.values()):
        raise TypeError("the module has parameters without a shape yet: run a batch through it")
    for name in written or ():
        if not any(parameter.startswith(name) for parameter in parameters):
            raise ValueError(
                f"no parameter's name begins with {name!r}; choose from {', '.join(parameters)}"
            )
    if written is None:
        names = [name for name, p in parameters.items() if p.requires_grad]
    else:
        names = [name for name in parameters if name.startswith(tuple(written))]
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
