"""Training that diverges stops before the step that would spoil the model."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from avalanche_hsf._private.avalanche import criterion_of
from avalanche_hsf.divergence import (
    OVERFLOW,
    DivergedError,
    all_finite,
    is_finite,
    norm_of,
    not_finite,
    why_stopped,
)
from avalanche_hsf.models.tasks.guard import StepGuard
from avalanche_hsf.models.tasks.nested import tensors_of
from avalanche_hsf.models.written import TaskWritten
from avalanche_hsf.training.pass_state import PassState
from avalanche_hsf.training.tasks import current_tasks
from avalanche_hsf.training.terms import forget_terms, watch_terms, watched_terms


class DivergencePlugin(SupervisedPlugin):
    """Raises `DivergedError` where an input, a target, the loss or a gradient is not finite.

    Input and target are checked before the forward pass; loss, gradients and the running statistics
    of normalization layers right before the optimizer's step. The step is not taken, so that all
    weights and statistics are those of the last good step, and tasks can be evaluated. The message
    names the experience, tasks, epoch and minibatch, both counted from 0 as Avalanche does, and
    what is not finite: of a loss with several terms which, and weights if it was they. Gradients
    whose squares overflow count too, since optimizers square them.

    For any supervised strategy and any model. `HSFStrategy` always has it. Costs two reads of the
    device for each minibatch. A model with weights for each task, which checks itself (see
    `StepGuard`), leaves it to this one.
    """

    transient = ("_guards", "_state")

    def __init__(self) -> None:
        super().__init__()
        self._guards: list[StepGuard] = []
        self._state = PassState(nn.Module(), [])

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        modules = strategy.model.modules()
        self._guards = [module.guard for module in modules if isinstance(module, TaskWritten)]
        self._replace(False)  # a run before may have been interrupted within a step
        self._state = PassState(strategy.model, _tasks(strategy))

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._guards, self._state = [], PassState(nn.Module(), [])

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Checks input and target."""
        x, y = _input_of(strategy), _target_of(strategy)
        if not all_finite(x if y is x else [*x, *y]):
            named = {"input": x, "target": y}
            names = [name for name, part in named.items() if not all_finite(part)]
            cause = f"NaN or infinite entries in the {' and the '.join(names)}"
            _stop(strategy, cause, "clean the data")
        self._replace(True)

    def before_forward(self, strategy: Any, **kwargs: Any) -> None:
        watch_terms(strategy)
        self._state.note()

    def before_update(self, strategy: Any, **kwargs: Any) -> None:
        """Checks loss and gradients."""
        self._replace(False)
        norm = norm_of(_gradients(strategy))
        fine = is_finite(strategy.loss.detach()) and is_finite(norm) and self._state.is_finite()
        cause = "" if fine else _cause(strategy)
        forget_terms(strategy)
        if cause:
            self._state.restore()
            _stop(strategy, cause, "use a smaller learning rate, or inputs of scale 1")

    def _replace(self, replaced: bool) -> None:
        for guard in self._guards:
            guard.replaced = replaced


def _input_of(strategy: Any) -> list[Tensor]:
    return tensors_of(strategy.mb_x)


def _target_of(strategy: Any) -> list[Tensor]:
    return [] if strategy.mb_y is strategy.mb_x else tensors_of(strategy.mb_y)


def _gradients(strategy: Any) -> list[Tensor]:
    """Those that the optimizer's step would follow; none without one, as in `StreamingLDA`."""
    groups = strategy.optimizer.param_groups if strategy.optimizer is not None else ()
    return [g for group in groups for p in group["params"] if (g := p.grad) is not None]


def _tasks(strategy: Any) -> list[int]:
    """The labels of the tasks in training, none in a stream without labels."""
    try:
        return sorted(current_tasks(strategy))
    except AttributeError:
        return []


def _cause(strategy: Any) -> str:
    """The first that went wrong."""
    weights = not_finite(strategy.model.named_parameters())
    if weights:
        return f"weights are NaN or infinite ({weights})"
    if not is_finite(strategy.loss.detach()):
        return f"the loss is NaN or infinite{_culprits(strategy)}"
    named = strategy.model.named_parameters()
    names = {id(p.grad): name for name, p in named if p.grad is not None}
    gradients = not_finite((names.get(id(g), "a parameter"), g) for g in _gradients(strategy))
    if gradients:
        return f"gradients are NaN or infinite ({gradients})"
    overflow = not is_finite(norm_of(_gradients(strategy)))
    return OVERFLOW if overflow else "running statistics of layers are NaN or infinite"


def _culprits(strategy: Any) -> str:
    """The terms of the loss that are not finite, in brackets."""
    criterion = criterion_of(strategy)
    with torch.no_grad():
        plain = tensors_of(criterion(strategy.mb_output, strategy.mb_y))
    name = getattr(criterion, "__name__", type(criterion).__name__)
    own = [] if all_finite(plain) else ["recon" if hasattr(strategy, "reconstructs") else name]
    names = own + [term for term in [not_finite(watched_terms(strategy).items())] if term]
    return f" ({', '.join(names)})" if names else ""


def _stop(strategy: Any, cause: str, cure: str) -> NoReturn:
    clock = strategy.clock
    index = getattr(strategy.experience, "current_experience", clock.train_exp_counter)
    place = f"epoch {clock.train_exp_epochs}, minibatch {clock.train_epoch_iterations}"
    tasks = _tasks(strategy)
    raise DivergedError(why_stopped(f"in experience {index}, {place}", tasks, cause, cure))
