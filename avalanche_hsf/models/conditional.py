"""Any torch module, with weights of its own for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from avalanche.models import DynamicModule, MultiTaskModule
from torch import Tensor, nn

from avalanche_hsf._private.torch import attributes_of
from avalanche_hsf.checks import check_bool, check_mapping, check_names, shown
from avalanche_hsf.models.hypernetworks.base import TaskWeights
from avalanche_hsf.models.tasks.class_mask import ClassMask
from avalanche_hsf.models.tasks.nested import map_tensors, n_rows, tensors_of
from avalanche_hsf.models.tasks.runner import TaskRunner
from avalanche_hsf.models.tasks.slots import EmptySlot
from avalanche_hsf.models.tasks.statistics import TaskStatistics
from avalanche_hsf.models.written import TaskWritten
from avalanche_hsf.seeds import resolve_seed

_NOT_GIVEN = object()


class TaskConditional(TaskWritten):
    """A module whose parameters, all or some, a hypernetwork writes for each task.

    The module keeps its structure and its code; it runs with the weights of the task in their
    places, on batches that mix tasks with several sets side by side if it allows that, see
    `TaskRunner`. What is not written stays the module's own, shared by all tasks and protected
    by nothing (see `FreezeSharedPlugin`).

    Running statistics of batch and instance normalization are kept for each task, see
    `TaskStatistics`; a module with such layers runs mixed batches task by task, so that each
    task is normalized by itself, one with a single row by its running statistics. They learn from
    samples of tasks in training alone: neither replayed samples of a task that is held, nor those
    that all tasks are tried on, move them. Whatever else a pass changes must be named in
    `task_buffers`, or is refused.

    An Avalanche `MultiTaskModule`: every strategy passes it task labels and grows it by each new
    task. With scores for all classes of a stream the last layer, written per task, is a head for
    each task. In a loop of your own call `hypernetwork.begin([task])` and make the optimizer
    after it: each task has parameters of its own. Training, in any loop, stops at the first step
    with a NaN or infinite input or gradient, see `StepGuard`.

    Cost against the plain module: of memory, the written weights once more for each distinct task
    in a batch, and what the hypernetwork keeps per task; of time, writing them, which does not
    depend on the batch (`IsolatedHyperNetwork`: nothing while a task is in training).

    Args:
        module: Any module from tensors of n rows to tensors of n rows, alone or in nested
            dictionaries, lists and tuples. It becomes part of the model; the parameters that are
            written leave it.
        written: Names of parameters to write, or what names begin with. Default: every parameter
            that requires a gradient.
        hypernetwork: A name in `HYPERNETWORKS`, or a class or function like those there.
        hypernetwork_options: Its further arguments.
        vectorized: Whether the tasks of a mixed batch run side by side; None: if the module allows
            it, which is found out, see `TaskRunner`.
        task_buffers: Names of buffers and attributes that a pass changes, besides those of
            normalization layers: each task has its own, as the power iterations of spectral
            normalization need.
        masking: Of class scores, leave each task those of its own classes, see `ClassMask`.
        seed: Seed of the hypernetwork's draws; if None it is drawn from torch's global generator.

    Raises:
        TypeError: The module is none of torch, a `MultiTaskModule` already, or not initialized
            yet; or an argument has the wrong type.
        ValueError: An unknown name of a parameter, buffer or attribute, nothing to write, a
            parameter without entries, or one of a layer that grows by itself.

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
        vectorized: bool | None = None,
        masking: bool = False,
        task_buffers: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must be a torch module, got {shown(module)}")
        if isinstance(module, MultiTaskModule):
            name = type(module).__name__
            raise TypeError(f"{name} is a MultiTaskModule already: give the network of one task")
        given = check_mapping("hypernetwork_options", hypernetwork_options)
        if vectorized is not None:
            check_bool("vectorized", vectorized)
        names, self._twins = _to_write(module, written)
        self.module = module
        self.statistics = TaskStatistics(module, task_buffers)
        self.mask = ClassMask() if check_bool("masking", masking) else None
        options = {"seed": resolve_seed(seed), **given}
        self.hand_over(names, hypernetwork, self._twins, **options)
        self._runner = TaskRunner(module, self.statistics, vectorized)
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
            value = _value(self.module, name)
            if isinstance(value, nn.Parameter) or value is None or value.shape != shape:
                now = "is gone" if value is None else f"now has shape {tuple(value.shape)}"
                raise ValueError(
                    f"{name} was written by the hypernetwork with shape {shape}, but {now}: the "
                    "module must not change once it is wrapped; leave layers that do out of "
                    "written="
                )

    def _check_shared(self) -> None:
        """Compares two numbers of each buffer that all tasks share with those of the last call."""
        per_task = self.statistics.names
        now = {
            name: (float(value.double().sum()), float(value.double().norm()))
            for name, value in self.module.named_buffers()
            if name not in per_task and not isinstance(value, EmptySlot)
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

    def forward(self, x: Any, task_labels: Any = _NOT_GIVEN) -> Any:
        """As `TaskModule.forward`, each row with the weights of its task.

        Raises:
            TypeError: Also if no labels are given at all.
            ValueError: Also if the module does not return a row for each of x.
        """
        if task_labels is _NOT_GIVEN:
            raise TypeError(
                "a TaskConditional needs the tasks of its rows: model(x, task_labels), or None for "
                "the output of every task. A strategy calls model(x) if an experience has no "
                "task_labels: apply avalanche's with_task_labels to the stream. It does not see "
                "what torch.compile(model) has wrapped either: call model.compile(). Plugins that "
                "call model(x), GenerativeReplayPlugin for one, know no tasks: use ReplayPlugin or "
                "OutputRegularizerPlugin"
            )
        return super().forward(x, task_labels)

    def forward_all_tasks(self, x: Any) -> dict[int, Any]:
        """`forward` for every task, by task label; no task's statistics learn from it."""
        return {task: self._forward(x, task, learn=False) for task in self.tasks}

    def _forward(self, x: Any, task_labels: Tensor | int, *, learn: bool = True) -> Any:
        written = self.write(task_labels, n_rows(x))
        groups = written.groups
        if self.is_guarded:
            self.guard.check_input(x, groups.tasks)
        twins = {twin: written.weights[name] for twin, name in self._twins.items()}
        learns = self.hypernetwork.trains if learn else None
        out = self._runner(x, groups, {**written.weights, **twins}, learns)
        if self.is_guarded:
            if not self._any_trains(groups.tasks):
                hook = None if self._any_trains(self.tasks) else _refuse
                out = map_tensors(lambda part: _differentiable(part, hook), out)
            self.guard.watch(self, out, groups.tasks)
        return out if self.mask is None else self.mask(out, groups)

    def _any_trains(self, tasks: list[int]) -> bool:
        return any(self.hypernetwork.trains(task) for task in tasks)


def _value(module: nn.Module, name: str) -> Any:
    path, _, last = name.rpartition(".")
    try:
        return getattr(module.get_submodule(path), last)
    except AttributeError:
        return None


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


def _to_write(module: nn.Module, written: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """Names of the parameters to write, in the module's order, and theirs by further names."""
    written = None if written is None else check_names("written", written)
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
    if empty := [name for name in names if parameters[name].numel() == 0]:
        raise ValueError(
            f"{empty[0]} has no entries, its shape is {tuple(parameters[empty[0]].shape)}: give "
            "the layer at least one input and output, or leave it out of written="
        )
    first = {id(parameters[name]): name for name in reversed(names)}
    twins = {n: first[id(p)] for n, p in parameters.items() if id(p) in first}
    twins = {twin: name for twin, name in twins.items() if twin != name}
    names = [name for name in names if name not in twins]
    _refuse_references(module, {id(parameters[name]): name for name in names})
    for path, layer in module.named_modules():
        of_layer = [name for name in names if name.startswith(f"{path}." if path else "")]
        if isinstance(layer, DynamicModule) and of_layer:
            raise ValueError(
                f"{path or type(layer).__name__} grows with the stream (a DynamicModule), so "
                f"{of_layer[0]} cannot be written: leave it out of written=, or give the module a "
                "layer with an output for every class"
            )
    return names, twins


def _refuse_references(module: nn.Module, released: Mapping[int, str]) -> None:
    """Raises ValueError if an attribute holds a parameter that is written, beside its layer."""
    for path, layer in module.named_modules():
        if isinstance(layer, nn.RNNBase):
            continue  # which looks at its parameters at each pass
        for attribute, value in attributes_of(layer).items():
            for tensor in tensors_of(value):
                if id(tensor) in released:
                    raise ValueError(
                        f"{path or type(module).__name__} holds {released[id(tensor)]} in its "
                        f"attribute {attribute}, where it would keep its first value: read it "
                        "from its layer in forward, or leave it out of written="
                    )
