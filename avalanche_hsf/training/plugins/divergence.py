"""Training that diverges stops before the step that would spoil the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor

from avalanche_hsf._private import criterion_of
from avalanche_hsf.divergence import DivergedError, all_finite, is_finite, norm_of, not_finite
from avalanche_hsf.models.tasks.guard import StepGuard
from avalanche_hsf.models.tasks.nested import tensors_of
from avalanche_hsf.models.written import TaskWritten
from avalanche_hsf.training.tasks import current_tasks
from avalanche_hsf.training.terms import forget_terms, watch_terms, watched_terms


class DivergencePlugin(SupervisedPlugin):
    """Raises `DivergedError` where an input, a target, the loss or a gradient is not finite.

    Input and target are checked before the forward pass, loss and gradients right before the
    optimizer's step. The step is not taken, so that all weights are those of the last good step,
    and tasks can be evaluated. The message names the experience, tasks, epoch and minibatch, both
    counted from 0 as Avalanche does, and what is not finite: of a loss with several terms which,
    and weights if it was they. Gradients whose squares overflow count too, since optimizers
    square them.

    For any supervised strategy and any model. `HSFStrategy` always has it. Costs two reads of the
    device for each minibatch. A model with weights for each task, which checks itself (see
    `StepGuard`), leaves it to this one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._guards: list[StepGuard] = []

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        modules = strategy.model.modules()
        self._guards = [module.guard for module in modules if isinstance(module, TaskWritten)]

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        self._guards = []

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        """Checks input and target."""
        x, y = _input_of(strategy), _target_of(strategy)
        if not all_finite(x if y is x else [*x, *y]):
            named = {"the input": x, "the target": y}
            causes = [name for name, part in named.items() if not all_finite(part)]
            _stop(strategy, " and ".join(causes), "clean the data")
        self._replace(True)

    def before_forward(self, strategy: Any, **kwargs: Any) -> None:
        watch_terms(strategy)

    def before_update(self, strategy: Any, **kwargs: Any) -> None:
        """Checks loss and gradients."""
        self._replace(False)
        norm = norm_of(gradient for _, gradient in _gradients(strategy))
        if not (is_finite(strategy.loss.detach()) and is_finite(norm)):
            _stop(strategy, _cause(strategy), "use a smaller learning rate, or inputs of scale 1")
        forget_terms(strategy)

    def _replace(self, replaced: bool) -> None:
        for guard in self._guards:
            guard.replaced = replaced


def _input_of(strategy: Any) -> list[Tensor]:
    return tensors_of(strategy.mb_x)


def _target_of(strategy: Any) -> list[Tensor]:
    return [] if strategy.mb_y is strategy.mb_x else tensors_of(strategy.mb_y)


def _gradients(strategy: Any) -> Iterator[tuple[Tensor, Tensor]]:
    for group in strategy.optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                yield parameter, parameter.grad


def _cause(strategy: Any) -> str:
    """The first that went wrong."""
    weights = not_finite(strategy.model.named_parameters())
    if weights:
        return f"the weights {weights}"
    loss, terms = strategy.loss.detach(), watched_terms(strategy)
    if not all_finite([loss]):
        names = not_finite(terms.items())
        with torch.no_grad():
            recon = criterion_of(strategy)(strategy.mb_output, strategy.mb_y)
        if not all_finite(tensors_of(recon)):
            names = ", ".join(filter(None, ["recon", names])) if terms else names
        return f"the loss ({names})" if names else "the loss"
    names = {id(p): name for name, p in strategy.model.named_parameters()}
    named = [(names.get(id(p), "a parameter"), g) for p, g in _gradients(strategy)]
    culprits = not_finite(named)
    return f"the gradients of {culprits}" if culprits else "the squares of the gradients"


def _stop(strategy: Any, cause: str, cure: str) -> NoReturn:
    forget_terms(strategy)
    clock = strategy.clock
    tasks = sorted(current_tasks(strategy))
    named = f"task {tasks[0]}" if len(tasks) == 1 else f"tasks {tasks}"
    raise DivergedError(
        f"training diverged in experience {strategy.experience.current_experience}, {named}, "
        f"epoch {clock.train_exp_epochs}, minibatch {clock.train_epoch_iterations}: NaN, infinite "
        f"or too large is {cause}. The step was not taken, all weights are those before it: {cure}"
    )
