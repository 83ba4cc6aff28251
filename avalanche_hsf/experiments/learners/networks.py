"""The learners of any main network: our hypernetworks beside Avalanche's multi-head strategies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.models import as_multitask
from avalanche.training import LwF, Naive
from avalanche.training.plugins import EvaluationPlugin, SynapticIntelligencePlugin
from torch import nn
from torch.optim import Adam

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.experiments.learners.peers import (
    Make,
    cumulative,
    ewc,
    gem,
    joint,
    make_strategy,
    naive,
    replay,
)
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    PRESETS,
    FreezeEmbeddingsPlugin,
    FreezeSharedPlugin,
    InMemoryLoadingPlugin,
    OutputRegularizerPlugin,
    make_protections,
)


def _main(setting: Setting) -> nn.Module:
    if setting.main is None:
        raise ValueError("this learner trains a main network, and the stream has none")
    return setting.main.make()


def _plain(setting: Setting) -> nn.Module:
    """With a head for each task where the stream has classes."""
    network = _main(setting)
    assert setting.main is not None
    return as_multitask(network, "classifier") if setting.main.classifies else network


def _peer(make: Make, *grid: Mapping[str, float], jointly: bool = False) -> Learner:
    def build(setting: Setting, **arguments: Any) -> Any:
        return make(setting, _plain(setting), **arguments)

    return Learner(
        build,
        grid or ({},),
        jointly=jointly,
        regularized=False,
        of_networks=True,
    )


def _lwf(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(LwF, setting, model, temperature=2.0, **arguments)


class _SynapticIntelligence(SynapticIntelligencePlugin):
    """Avalanche's plugin with a mended CPU.

    In 0.6 its notes of the weights are views of them on a CPU (`.detach().cpu()` copies nothing),
    so that no weight ever moves in its eyes and all importances are exactly 0.
    """

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        super().before_training_exp(strategy, **kwargs)
        self._copy(self.ewc_data[0])

    def before_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        super().before_training_iteration(strategy, **kwargs)
        self._copy(self.syn_data["old_theta"])

    @staticmethod
    def _copy(notes: Mapping[str, Any]) -> None:
        for note in notes.values():
            note.data = note.data.clone()


def _si(setting: Setting, model: nn.Module, *, si_lambda: float, **arguments: Any) -> Any:
    # Heads are each task's own; those not in training have no gradient, which it stumbles over.
    plugin = _SynapticIntelligence(si_lambda, excluded_parameters=["*classifier*"])
    return make_strategy(Naive, setting, model, last=[plugin], **arguments)


def _ours(preset: str, **hypernetwork_options: Any) -> Learner:
    """A preset's hypernetwork and protections; the learning rate is searched as for all."""

    def build(setting: Setting, **arguments: Any) -> Any:
        chosen = PRESETS[preset]
        model = TaskConditional(
            _main(setting),
            hypernetwork=chosen.hypernetwork["hypernetwork"],
            hypernetwork_options={
                **chosen.hypernetwork["hypernetwork_options"],
                **hypernetwork_options,
            },
            masking=setting.main is not None and setting.main.classifies,  # as the peers' heads
            seed=setting.seed,
        )
        protections = {
            name: of_it
            for name, of_it in chosen.protections.items()
            if name != "CosineRestartPlugin"  # which every learner has here
        }
        return make_strategy(Naive, setting, model, last=make_protections(protections), **arguments)

    return Learner(build, regularized=False, of_networks=True)


def _regularized(setting: Setting, *, weight: float, **arguments: Any) -> Any:
    """Constant memory: the hypernetwork of the literature under its output regulariser."""
    assert setting.main is not None
    model = TaskConditional(
        _main(setting), hypernetwork="mlp", masking=setting.main.classifies, seed=setting.seed
    )
    held = [OutputRegularizerPlugin(weight), FreezeEmbeddingsPlugin(), FreezeSharedPlugin()]
    return make_strategy(Naive, setting, model, last=held, **arguments)


class _FreshOptimizer(SupervisedPlugin):
    """Drops the optimizer's state before each task, as the published code does."""

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        strategy.optimizer.state.clear()


def _published(weight: float) -> Learner:
    """The hypernetwork of von Oswald et al. 2020 with their settings of the polynomials.

    https://arxiv.org/abs/1906.00695
    """

    def build(
        setting: Setting, *, plugins: Any, evaluator: EvaluationPlugin, eval_mb_size: int
    ) -> Naive:
        assert setting.main is not None
        options = {
            "embedding_dim": 2,
            "embedding_std": 1.0,
            "hidden_dims": (10, 10),
            "activation": nn.Sigmoid,
        }
        model = TaskConditional(
            _main(setting), hypernetwork="mlp", hypernetwork_options=options, seed=setting.seed
        )
        return Naive(
            model=model,
            optimizer=Adam(model.parameters(), lr=1e-2, fused=True),
            criterion=setting.main.criterion(),
            train_mb_size=setting.main.mb_size,
            train_epochs=setting.steps,
            eval_mb_size=eval_mb_size,
            evaluator=evaluator,
            plugins=[
                *plugins,
                OutputRegularizerPlugin(weight, lookahead=True),
                FreezeEmbeddingsPlugin(),
                _FreshOptimizer(),
                InMemoryLoadingPlugin(),
            ],
        )

    return Learner(build, optimizers=(), regularized=False, of_networks=True)


NETWORK_LEARNERS: dict[str, Learner] = {
    **{f"hn-{name}": _ours(name) for name in ("isolated", "compact")},
    "hn-core-4000": _ours("compact", size=4000),
    "hn-core-20000": _ours("compact", size=20000, bits=6),
    "hn-regularized": Learner(
        _regularized,
        grid=tuple({"weight": value} for value in (0.01, 0.1, 1.0)),
        regularized=False,
        of_networks=True,
    ),
    "hn-published": _published(weight=0.005),
    "hn-published-unprotected": _published(weight=0.0),
    "net-naive": _peer(naive),
    "net-replay": _peer(replay),
    "net-ewc": _peer(ewc, *({"ewc_lambda": value} for value in (1e1, 1e3, 1e5))),
    # Avalanche clips importances at 0.001, so a lambda has to be large to count.
    "net-si": _peer(_si, *({"si_lambda": value} for value in (1.0, 1e2, 1e4))),
    "net-lwf": _peer(_lwf, *({"alpha": value} for value in (0.3, 1.0, 3.0))),
    "net-gem": _peer(gem),
    "net-cumulative": _peer(cumulative),
    "net-joint": _peer(joint, jointly=True),
}
"""hn-<preset>: a `TaskConditional` with that preset's hypernetwork and protections; hn-core-<n>:
compact with cores of at most n numbers (of 6 bits each for 20000); hn-regularized: constant memory,
the output regulariser; hn-published: the literature's, as published. net-<s>: the network under an
Avalanche strategy, with a head for each task (`as_multitask`)."""
