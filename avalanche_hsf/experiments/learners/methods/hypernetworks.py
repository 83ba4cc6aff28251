"""Any network in a TaskConditional: our hypernetworks, protections included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training import Naive

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import grid, make_strategy
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    PRESETS,
    FreezeEmbeddingsPlugin,
    FreezeSharedPlugin,
    OutputRegularizerPlugin,
    make_protections,
)


def in_task_conditional(
    setting: Setting,
    *,
    preset: str,
    options: Any,
    masking: bool | None = None,
    further: Callable[[TaskConditional], Iterable[SupervisedPlugin]] | None = None,
    **arguments: Any,
) -> Any:
    """The network under a preset's hypernetwork and protections.

    Args:
        setting: What the learner is built for.
        preset: The name.
        options: Of the hypernetwork, in place of the preset's.
        masking: Whether a task has scores of its own classes alone. Default: as the peers' heads.
        further: Makes plugins for the model.
        **arguments: Of `make_strategy`.
    """
    kind = PRESETS[preset].hypernetwork
    model = TaskConditional(
        setting.make_network(),
        hypernetwork=kind["hypernetwork"],
        hypernetwork_options={**kind["hypernetwork_options"], **options},
        masking=setting.problem.has_heads if masking is None else masking,
        seed=setting.seed,
    )
    protections = dict(PRESETS[preset].protections)
    protections.pop("CosineRestartPlugin", None)  # which every learner has here
    last = [*make_protections(protections), *(further(model) if further else ())]
    return make_strategy(Naive, setting, model, last=last, **arguments)


def _learner(preset: str, about: str, **options: Any) -> Learner:
    """A preset's hypernetwork and protections; the learning rate is searched as for all."""
    return Learner(
        partial(in_task_conditional, preset=preset, options=options),
        f"{about}, around the stream's network",
        regularized=False,
        group="networks",
        ours=True,
        presets=(preset,),
    )


def _regularized(setting: Setting, *, weight: float, **arguments: Any) -> Any:
    """Constant memory: the hypernetwork of the literature under its output regularizer."""
    model = TaskConditional(
        setting.make_network(),
        hypernetwork="mlp",
        masking=setting.problem.has_heads,
        seed=setting.seed,
    )
    protections = [OutputRegularizerPlugin(weight), FreezeEmbeddingsPlugin(), FreezeSharedPlugin()]
    return make_strategy(Naive, setting, model, last=protections, **arguments)


LEARNERS = {
    "hn-isolated": _learner("isolated", "a set of weights for each task"),
    "hn-compact": _learner("compact", "a small change of the first task's weights per task"),
    "hn-core-4000": _learner("compact", "compact with cores of 4,000 numbers", size=4000),
    "hn-core-20000": _learner(
        "compact", "compact with cores of 20,000 numbers of 6 bits", size=20000, bits=6
    ),
    "hn-regularized": Learner(
        _regularized,
        "the literature's hypernetwork with its output regularizer, around the stream's network",
        grid("weight", 0.01, 0.1, 1.0),
        regularized=False,
        group="networks",
        ours=True,
    ),
}
