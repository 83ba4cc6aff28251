"""How a module that a user brings runs on batches of one or several tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf._private.torch import attributes_of
from avalanche_hsf.models.tasks.call import call_per_task, checked_rows
from avalanche_hsf.models.tasks.examine import Weights, depends_on, runs_side_by_side
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.nested import (
    cloned,
    leaves,
    map_tensors,
    n_rows,
    rows_of,
    tensors_of,
)
from avalanche_hsf.models.tasks.slots import filled
from avalanche_hsf.models.tasks.snapshot import changes, state_of
from avalanche_hsf.models.tasks.statistics import TaskStatistics

Learns = Callable[[int], bool]


# Where compilation was asked for, the module is compiled, and what goes on around it is not.
_not_compiled = torch.compiler.disable(recursive=False)


class TaskRunner:
    """Runs each row as the plain module would run the rows of its task alone.

    Several tasks run side by side if the module allows it, which is found out at the first batch
    of several tasks, see `runs_side_by_side`. Other modules run task by task.

    What a module keeps from one pass to the next must be kept for each task. The first pass, the
    second, the fourth and so on are watched for it.

    Args:
        module: Any module, whose written parameters were released.
        statistics: What it keeps for each task.
        side_by_side: Whether tasks run side by side; None: if the module allows it.
    """

    def __init__(
        self, module: nn.Module, statistics: TaskStatistics, side_by_side: bool | None
    ) -> None:
        self.module, self.statistics = module, statistics
        self._asked = False if statistics else side_by_side
        self._found: dict[bool, bool] = {}  # in training mode, and in evaluation mode
        self._passes = {True: 0, False: 0}
        # Recurrent layers move their weights' memory themselves, on a GPU.
        self._recurrent = tuple(n for n, m in module.named_modules() if isinstance(m, nn.RNNBase))

    def __call__(self, x: Any, groups: TaskGroups, weights: Weights, learns: Learns | None) -> Any:
        """The output, in the order of the batch.

        Args:
            x: Tensors of n rows, or nested dictionaries, lists and tuples of them.
            groups: Which rows belong to which of k tasks.
            weights: A `k x *shape` tensor for each released parameter.
            learns: Whether this pass moves what is kept for a task; None: for none.

        Raises:
            ValueError: The module does not return n rows, or keeps state that all tasks share.
        """
        mode = self.module.training
        self._passes[mode] += 1
        watch = self._passes[mode].bit_count() == 1
        before = state_of(self.module) if watch else {}
        first = {name: w[0] for name, w in weights.items()}
        if len(groups.tasks) == 1:
            out = self._one(groups.tasks[0], first, x, learns)
        elif self._side_by_side(first, x):
            out = self._tried_side_by_side(groups, weights, x, learns)
        else:
            out = self._one_by_one(groups, weights, x, learns)
        if watch:
            self._refuse_state(before, groups.tasks[0], first, x)
        return out

    @_not_compiled
    def _one(self, task: int, weights: Weights, x: Any, learns: Learns | None) -> Any:
        learn = learns is not None and learns(task)
        kept = self.statistics(task, learn=learn) if self.statistics else {}
        places = {n: w.data_ptr() for n, w in weights.items() if not n.startswith(self._recurrent)}
        with filled(self.module, {**weights, **kept}) as replaced:
            out = self.module(x)
        for name, place in places.items():
            if name in replaced or weights[name].data_ptr() != place:
                raise ValueError(
                    f"forward gives {name} other values itself, which would be lost: run a batch "
                    "through the module before it is wrapped, change them in place (copy_), or "
                    "leave it out of written="
                )
        if learn and replaced:
            self.statistics.keep(task, replaced)
        return checked_rows(self.module, out, n_rows(x))

    @_not_compiled
    def _one_by_one(
        self, groups: TaskGroups, weights: Weights, x: Any, learns: Learns | None
    ) -> Any:
        given, n = tensors_of(x), n_rows(x)
        if any(part.dim() and len(part) != n for part in given):
            raise ValueError(
                "in a batch that mixes tasks every input must have a row for each label, got "
                f"shapes {[tuple(part.shape) for part in given]}"
            )
        outs, rows = [], []
        for k, task in enumerate(groups.tasks):
            of_task = {name: w[k] for name, w in weights.items()}
            rows.append((groups.of_row == k).nonzero().flatten())  # type: ignore[union-attr]
            x_of_task = rows_of(x, rows[-1])
            outs.append(self._one_of_many(task, of_task, x_of_task, learns, len(rows[-1])))
            if torch.is_grad_enabled():
                _refuse_losses(self.module)
        return _merged(outs, torch.cat(rows).argsort())

    @_not_compiled
    def _one_of_many(
        self, task: int, weights: Weights, x: Any, learns: Learns | None, n: int
    ) -> Any:
        """A single row, whose batch has no variance, is normalized as in evaluation."""
        if n > 1 or not self.module.training or not self.statistics.names:
            return self._one(task, weights, x, learns)
        before = self.statistics(task, learn=False)
        try:
            return self._one(task, weights, x, learns)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
        if learns is not None and learns(task):
            self.statistics.keep(task, before)  # what the layers before had learned of it
        with _normalization_as_in_evaluation(self.module):
            return self._one(task, weights, x, None)

    @torch.compiler.disable
    def _side_by_side(self, weights: Weights, x: Any) -> bool:
        if self._asked is not None:
            return self._asked
        mode = self.module.training
        if mode not in self._found:
            self._found[mode] = runs_side_by_side(self.module, weights, x)
        return self._found[mode]

    @torch.compiler.disable
    def _tried_side_by_side(
        self, groups: TaskGroups, weights: Weights, x: Any, learns: Learns | None
    ) -> Any:
        drawn = torch.get_rng_state()
        try:
            return call_per_task(self.module, weights, groups, x)
        except Exception:  # of torch.vmap, in many kinds, or of the module, which comes again below
            if self._asked:
                raise
        torch.set_rng_state(drawn)
        out = self._one_by_one(groups, weights, x, learns)
        self._found[self.module.training] = False
        return out

    @torch.compiler.disable
    def _refuse_state(self, before: dict[str, Any], task: int, weights: Weights, x: Any) -> None:
        def run(x: Any, weights: Weights) -> Any:
            with torch.no_grad():  # of a copy, which the module may change in place
                return self._one(task, weights, cloned(x), None)

        was = changes(self.module, before)
        counts = [n for n, v in was.items() if isinstance(v, int)]  # which tell how many passes
        others = {name: value for name, value in was.items() if name not in counts}
        moved = depends_on(self.module, run, x, weights, others)
        names = counts + (list(others) if moved else [])
        if names:
            raise ValueError(
                f"{type(self.module).__name__} keeps {', '.join(names)} from one pass to the next, "
                "for all tasks together: what old tasks answer would change with them. "
                "Give them a first value in __init__, and each task its own: "
                f"TaskConditional(..., task_buffers={names})"
            )


@contextmanager
def _normalization_as_in_evaluation(module: nn.Module) -> Iterator[None]:
    layers = [
        layer
        for layer in module.modules()
        if isinstance(getattr(layer, "running_mean", None), Tensor) and layer.training
    ]
    for layer in layers:
        layer.training = False
    try:
        yield
    finally:
        for layer in layers:
            layer.training = True


def _refuse_losses(module: nn.Module) -> None:
    for path, layer in module.named_modules():
        for name, value in attributes_of(layer).items():
            if any(
                isinstance(part, Tensor) and part.numel() == 1 and part.requires_grad
                for part in leaves(value)
            ):
                raise ValueError(
                    f"{type(layer).__name__} {path} leaves a loss in its attribute {name}: in a "
                    "batch that mixes tasks it would be that of the last task alone. Return it as "
                    "an output with a value for each row, or train on one task per minibatch"
                )


def _merged(outs: Sequence[Any], order: Tensor) -> Any:
    """The outputs of tasks one after the other, put in the order of the batch."""
    shapes = [[tuple(tensor.shape[1:]) for tensor in tensors_of(out)] for out in outs]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(
            f"the module's output for a row has another shape from task to task, {shapes}: in a "
            "batch that mixes tasks it must be the same"
        )

    def merge(*parts: Any) -> Any:
        if isinstance(parts[0], Tensor):
            return torch.cat(parts)[order.to(parts[0].device)]
        if any(part != parts[0] for part in parts):
            raise ValueError(
                f"the module returns {parts[0]!r} for one task and {parts[-1]!r} for another: in a "
                "batch that mixes tasks what is no tensor must be the same"
            )
        return parts[0]

    return map_tensors(merge, *outs)
