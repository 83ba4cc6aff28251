"""Any network in a TaskConditional: our hypernetworks, protections included."""

from __future__ import annotations

from functools import partial
from typing import Any

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


def _build(setting: Setting, *, preset: str, options: Any, **arguments: Any) -> Any:
    kind = PRESETS[preset].hypernetwork
    model = TaskConditional(
        setting.make_network(),
        hypernetwork=kind["hypernetwork"],
        hypernetwork_options={**kind["hypernetwork_options"], **options},
        masking=setting.problem.has_heads,  # as the peers' heads
        seed=setting.seed,
    )
    protections = dict(PRESETS[preset].protections)
    protections.pop("CosineRestartPlugin", None)  # which every learner has here
    return make_strategy(Naive, setting, model, last=make_protections(protections), **arguments)


def _learner(preset: str, about: str, **options: Any) -> Learner:
    """A preset's hypernetwork and protections; the learning rate is searched as for all."""
    return Learner(
        partial(_build, preset=preset, options=options),
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
