"""The learners of any main network: our hypernetworks beside Avalanche's multi-head strategies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.models import as_multitask
from avalanche.training import LwF, Naive, SynapticIntelligence
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.optim import Adam

from avalanche_hsf.experiments.learner import Learner, Setting
from avalanche_hsf.experiments.peers import (
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

    return Learner(build, grid or ({},), jointly=jointly, regularized=False, of_networks=True)


def _lwf(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(LwF, setting, model, temperature=2.0, **arguments)


def _si(setting: Setting, model: nn.Module, **arguments: Any) -> Any:
    return make_strategy(SynapticIntelligence, setting, model, **arguments)


def _ours(preset: str) -> Learner:
    """A preset's hypernetwork and protections; the optimizer is searched as for all."""

    def build(setting: Setting, **arguments: Any) -> Any:
        chosen = PRESETS[preset]
        model = TaskConditional(_main(setting), **chosen.hypernetwork, seed=setting.seed)
        protections = {
            name: of_it
            for name, of_it in chosen.protections.items()
            if name != "CosineRestartPlugin"  # which every learner has here
        }
        return make_strategy(Naive, setting, model, last=make_protections(protections), **arguments)

    return Learner(build, regularized=False, of_networks=True)


class _FreshOptimizer(SupervisedPlugin):
    """Drops the optimizer's state before each task, as the published code does."""

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        strategy.optimizer.state.clear()


def _published(weight: float) -> Learner:
    """The hypernetwork of von Oswald et al. 2020 with their settings of the polynomials.

    https://arxiv.org/abs/1906.00695; without the regulariser's look-ahead.
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
            optimizer=Adam(model.parameters(), lr=1e-2),
            criterion=setting.main.criterion(),
            train_mb_size=setting.main.mb_size,
            train_epochs=setting.steps,
            eval_mb_size=eval_mb_size,
            evaluator=evaluator,
            plugins=[
                *plugins,
                OutputRegularizerPlugin(weight),
                FreezeEmbeddingsPlugin(),
                _FreshOptimizer(),
                InMemoryLoadingPlugin(),
            ],
        )

    return Learner(build, optimizers=(), regularized=False, of_networks=True)


NETWORK_LEARNERS: dict[str, Learner] = {
    **{f"hn-{name}": _ours(name) for name in ("repaired", "isolated", "compact")},
    "hn-published": _published(weight=0.005),
    "hn-published-unprotected": _published(weight=0.0),
    "net-naive": _peer(naive),
    "net-replay": _peer(replay),
    "net-ewc": _peer(ewc, *({"ewc_lambda": value} for value in (1e1, 1e3, 1e5))),
    "net-si": _peer(_si, *({"si_lambda": value} for value in (1e-2, 1.0, 1e2))),
    "net-lwf": _peer(_lwf, *({"alpha": value} for value in (0.3, 1.0, 3.0))),
    "net-gem": _peer(gem),
    "net-cumulative": _peer(cumulative),
    "net-joint": _peer(joint, jointly=True),
}
"""hn-<preset>: a `TaskConditional` with that preset's hypernetwork and protections. net-<s>: the
network under an Avalanche strategy, with a head for each task (`as_multitask`)."""
