"""A strategy that is trained beside another one, by a plugin of it."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

from avalanche.training.templates import SupervisedTemplate
from torch import Tensor

from avalanche_hsf.checks import shown
from avalanche_hsf.generators import generators_kept
from avalanche_hsf.inference import TaskRecognizer
from avalanche_hsf.training.plugins.detached_likelihood import DetachedLikelihoodPlugin
from avalanche_hsf.training.tasks import is_whole


def check_companion(strategy: object, model: Any, what: str, cure: str) -> Any:
    """The companion; None: its model is trained elsewhere, or by another plugin.

    Raises:
        TypeError: It is no strategy.
        ValueError: It trains another model.
    """
    if strategy is not None and not isinstance(strategy, SupervisedTemplate):
        raise TypeError(f"strategy must be an Avalanche strategy or None, got {shown(strategy)}")
    if strategy is not None and strategy.model is not model:
        raise ValueError(f"strategy must be the one that trains the {what}: {cure}")
    return strategy


def check_one_owner(plugin: Any, strategy: Any) -> None:
    """ValueError if a companion is the strategy itself, or two plugins would each train it."""
    if plugin.strategy is strategy:
        raise ValueError(
            f"{type(plugin).__name__} would train the strategy that it is a plugin of: for the "
            "strategy's own model give strategy=None"
        )
    for other in strategy.plugins:
        if other is plugin or plugin.strategy is None:
            continue
        if getattr(other, "strategy", None) is plugin.strategy:
            raise ValueError(
                f"{type(plugin).__name__} and {type(other).__name__} would both train the same "
                "strategy: give one of them strategy=None"
            )


def train_companion(companion: SupervisedTemplate | None, experience: Any) -> None:
    """Trains it on an experience, by its own loop.

    Its loader shuffles by torch's global generator, and its data may draw from others. All are put
    back: what is trained beside a learner moves none of the learner's own draws.
    """
    if companion is not None:
        with generators_kept(), warnings.catch_warnings():
            # The plugin whose companion it is warns of that, or was told that it is meant.
            warnings.filterwarnings("ignore", "a second experience has the task label")
            companion.train(experience, eval_streams=[])


def check_trained(recognizer: TaskRecognizer, strategy: Any, labels: list[int]) -> None:
    """ValueError unless the recognizer's model learns these tasks, and what its score asks for."""
    model = recognizer.model
    trainers = [strategy, *(getattr(plugin, "strategy", None) for plugin in strategy.plugins)]
    trained = [trainer for trainer in trainers if getattr(trainer, "model", None) is model]
    if not trained:
        missing = [label for label in labels if label not in model.tasks]
        if missing:
            raise ValueError(
                f"nobody trains the recognizer's {type(model).__name__} on task {missing[0]}: "
                "give TaskInferencePlugin the strategy that does, or train it before"
            )
        return
    score = recognizer.score
    if score.needs_density and not any(map(_fits, trained)):
        raise ValueError(
            f"{type(score).__name__} needs the density of each task, but "
            "nothing fits one: add a DetachedLikelihoodPlugin to the strategy of the "
            "recognizer's model, set its beta above 0, or score by ReconstructionScore"
        )


def refuse_parts(experience: Any) -> None:
    """ValueError for a part of an online experience, which would be numbered as one of its own."""
    if not is_whole(experience):
        raise ValueError(
            "the parts of an online experience cannot be told from new tasks: give the stream "
            'task labels (with_task_labels) and leave new_task at "label"'
        )


def classes_of(experience: Any, label: int | None = None) -> set[int]:
    """The classes of an experience, or of one of its tasks; none where targets are no classes."""
    dataset = experience.dataset
    targets = getattr(dataset, "targets", ())
    if label is not None:
        labels = dataset.targets_task_labels
        targets = [y for y, task in zip(targets, labels, strict=True) if int(task) == label]
    return {int(y) for y in targets if isinstance(y, Integral) or _is_integer(y)}


def _fits(strategy: Any) -> bool:
    """Whether a strategy fits a density of each task's latents."""
    beta = getattr(strategy, "beta", None)
    likelihoods = [p for p in strategy.plugins if isinstance(p, DetachedLikelihoodPlugin)]
    return bool(getattr(beta, "scale", 0)) or any(p.weight > 0 for p in likelihoods)


def _is_integer(y: Any) -> bool:
    return isinstance(y, Tensor) and y.dim() == 0 and not y.is_floating_point()
