"""Learners that are not told the task in evaluation: they infer it, sample by sample.

All but `ids-chunked-entropy` have the same classifier, a set of weights for each task, and differ
in what recognizes the task. Where the stream has no task labels each experience is a task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from math import ceil
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from torch import nn

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.forms import grid, optimizer_for
from avalanche_hsf.experiments.learners.methods.hypernetworks import in_task_conditional
from avalanche_hsf.experiments.learners.methods.published import in_chunks
from avalanche_hsf.inference import EntropyScore, SubspaceScore, TaskRecognizer
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    PRESETS,
    HSFStrategy,
    InMemoryLoadingPlugin,
    TaskInferencePlugin,
    make_protections,
)

RECOGNIZER: Mapping[str, Any] = {"hidden_dim": 400, "latent_dim": 16}
"""The Hypernet-SDE-Flow that recognizes: what replaces the preset's arguments of the model."""
RECOGNIZER_OPTIMIZER: Mapping[str, Any] = {
    **{"name": "AdamW", "lr": 1e-3, "betas": (0.9, 0.95), "weight_decay": 1e-2, "fused": True}
}
COMPACT: Mapping[str, Any] = {"adapter": "low-rank", "size": 32, "bits": 8}
"""A task's change of the first task's weights, in `ids-hsf-compact`, of both networks."""
AUTOENCODER = (400, 400, 16)
"""Widths of the autoencoder's encoder; its decoder mirrors them."""
RECOGNIZER_STEPS = 2100
"""Steps after which a recognizer is trained no further, in whole epochs: those of Split MNIST."""
N_SAMPLES = 20_000
"""Of each task that its principal directions are taken from."""

Recognize = Callable[[Setting, TaskConditional], TaskInferencePlugin]
"""What infers the tasks of a classifier."""


class _Reconstructing(Naive):
    """Naive whose target is the input, whatever the stream's."""

    def _unpack_minibatch(self) -> None:
        super()._unpack_minibatch()
        self.mbatch[1] = self.mbatch[0]


def _plugin(setting: Setting, *arguments: Any, **options: Any) -> TaskInferencePlugin:
    new_task = "label" if setting.problem.told else "experience"
    return TaskInferencePlugin(*arguments, new_task=new_task, **options)


def _epochs(setting: Setting) -> int:
    steps = ceil(setting.n_samples / setting.mb_size)  # of an epoch
    return min(setting.epochs, max(1, round(RECOGNIZER_STEPS / steps)))


def _flow(
    setting: Setting, model: nn.Module, preset: str, options: Mapping[str, Any]
) -> TaskInferencePlugin:
    of_preset = PRESETS[preset].hsf["hypernetwork_options"]
    strategy = HSFStrategy.from_preset(
        preset,
        input_dim=setting.input_dim,
        seed=setting.seed,
        model_options={**RECOGNIZER, "hypernetwork_options": {**of_preset, **options}},
        optimizer_options=dict(RECOGNIZER_OPTIMIZER),
        train_mb_size=setting.mb_size,
        train_epochs=_epochs(setting),
        evaluator=None,
    )
    return _plugin(setting, TaskRecognizer(strategy.model), strategy)


def _autoencoder(setting: Setting, model: nn.Module) -> TaskInferencePlugin:
    widths = (setting.input_dim, *AUTOENCODER)
    pairs = [*pairwise(widths)]
    pairs += [(b, a) for a, b in reversed(pairs)]
    layers: list[nn.Module] = [nn.Flatten()]
    for k, (n_in, n_out) in enumerate(pairs, start=1):
        layers.append(nn.Linear(n_in, n_out))
        if k not in (len(AUTOENCODER), len(pairs)):  # the code and the output stay linear
            layers.append(nn.GELU())
    network = nn.Sequential(*layers, nn.Unflatten(1, setting.input_shape))
    gates = TaskConditional(network, hypernetwork="isolated", seed=setting.seed)
    strategy = _Reconstructing(
        model=gates,
        optimizer=optimizer_for(gates.parameters(), "AdamW", RECOGNIZER_OPTIMIZER["lr"]),
        criterion=nn.MSELoss(),
        train_mb_size=setting.mb_size,
        train_epochs=_epochs(setting),
        plugins=[*make_protections(PRESETS["isolated"].protections), InMemoryLoadingPlugin()],
        evaluator=None,
    )
    return _plugin(setting, TaskRecognizer(gates), strategy)


def _pca(setting: Setting, model: TaskConditional) -> TaskInferencePlugin:
    # The score asks no network: the classifier is there for the list of its tasks.
    return _plugin(setting, TaskRecognizer(model, SubspaceScore()), n_samples=N_SAMPLES)


def _entropy(setting: Setting, model: TaskConditional, *, soft: bool) -> TaskInferencePlugin:
    return _plugin(setting, TaskRecognizer(model, EntropyScore()), soft=soft)


def _build(
    setting: Setting,
    *,
    recognize: Recognize,
    strategy: Callable[..., Any] = in_task_conditional,
    **arguments: Any,
) -> Any:
    if not setting.problem.classifies:
        raise ValueError(
            f"ids-* learners tell classes apart, but {setting.problem.name} has none: choose hn-*"
        )

    def further(model: TaskConditional) -> list[SupervisedPlugin]:
        return [recognize(setting, model)]

    return strategy(setting, further=further, **arguments)


def _learner(
    recognize: Recognize,
    about: str,
    *,
    preset: str = "isolated",
    options: Mapping[str, Any] | None = None,
    ours: bool = False,
) -> Learner:
    fields: dict[str, Any] = {"preset": preset, "options": options or {}, "masking": True}
    return Learner(
        partial(_build, recognize=recognize, **fields),
        f"the stream's network with weights for each task, the task inferred: {about}",
        optimizers=("AdamW",),
        regularized=False,
        group="class-incremental",
        ours=ours,
        presets=(preset,),
    )


LEARNERS = {
    "ids-hsf": _learner(
        partial(_flow, preset="isolated", options={}), "by a Hypernet-SDE-Flow", ours=True
    ),
    "ids-hsf-compact": _learner(
        partial(_flow, preset="compact", options=COMPACT),
        "by a Hypernet-SDE-Flow; both of small changes",
        preset="compact",
        options=COMPACT,
        ours=True,
    ),
    "ids-autoencoder": _learner(_autoencoder, "by an autoencoder, as in Expert Gate"),
    "ids-pca": _learner(_pca, "by the principal directions of its samples"),
    "ids-entropy": _learner(partial(_entropy, soft=True), "by the entropy of its classes"),
    "ids-chunked-entropy": Learner(
        partial(_build, recognize=partial(_entropy, soft=False), strategy=in_chunks),
        "HNET+ENT of von Oswald et al. 2020: hn-chunked, the task of the least entropy",
        grid("weight", 0.001, 0.01, 0.1),
        optimizers=("AdamW",),
        regularized=False,
        group="class-incremental",
    ),
}
