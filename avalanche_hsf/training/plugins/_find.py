"""What a plugin looks for in a strategy and its model."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor

from avalanche_hsf.models import TaskEmbedding, TaskWeights

M = TypeVar("M")


def find_module(kind: type[M], model: Any, who: str, what: str) -> M:
    """The first module of a kind inside a model.

    Raises:
        TypeError: The model has none; the message says who needs what.
    """
    for module in model.modules():
        if isinstance(module, kind):
            return module
    raise TypeError(f"{who} needs a model with {what}, {type(model).__name__} has none")


def embedding_of(model: Any, who: str) -> TaskEmbedding:
    """The first `TaskEmbedding` inside a model; TypeError if it has none."""
    what = "learned task embeddings (a TaskEmbedding module)"
    return find_module(TaskEmbedding, model, who, what)


def hypernetwork_of(model: Any, who: str) -> TaskWeights:
    """The first hypernetwork inside a model; TypeError if it has none."""
    what = "a hypernetwork (a TaskWeights module)"
    return find_module(TaskWeights, model, who, what)  # type: ignore[type-abstract]


def current_tasks(strategy: Any) -> set[int]:
    """The labels of the tasks in training.

    Avalanche 0.6's `JointTraining` trains on all its experiences and shows plugins the first;
    the parts that `split_online_stream` makes of an experience have lost its `task_labels`.
    """
    experiences = getattr(strategy, "_experiences", None) or [strategy.experience]
    return {
        int(label)
        for experience in experiences
        for label in getattr(
            experience, "task_labels", experience.dataset.targets_task_labels.uniques
        )
    }


def add_term(strategy: Any, name: str, term: Tensor) -> None:
    """Adds a term to the loss of the minibatch, and notes it where somebody watches the terms.

    Watchers, such as `LossTerms` of the analysis, set `strategy.loss_terms` to an empty dictionary
    before the forward pass.
    """
    strategy.loss = strategy.loss + term
    noted = getattr(strategy, "loss_terms", None)
    if noted is not None:
        noted[name] = term


def check_alone(plugin: Any, strategy: Any) -> None:
    """Raises ValueError if a strategy has a second plugin of the same class."""
    if sum(type(other) is type(plugin) for other in strategy.plugins) > 1:
        raise ValueError(
            f"{type(plugin).__name__} is among the plugins twice: leave one out (the protections "
            "of an HSFStrategy's preset are plugins too, protections= replaces them)"
        )


def check_without(plugin: Any, other: type, strategy: Any, why: str) -> None:
    """Raises ValueError if a strategy also has a plugin that contradicts this one."""
    if any(isinstance(each, other) for each in strategy.plugins):
        raise ValueError(
            f"{type(plugin).__name__} and {other.__name__} contradict each other: {why}"
        )
