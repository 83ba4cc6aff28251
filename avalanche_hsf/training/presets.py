"""Presets: named configurations, data and not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from avalanche_hsf.checks import check_choice, check_mapping
from avalanche_hsf.models.hsf import GENTLE_SDE
from avalanche_hsf.training.losses import BetaSchedule


@dataclass(frozen=True)
class Preset:
    """One configuration of model, optimizer and loss.

    Hypernetwork, optimizer and protections fit any main network, the rest the HSF alone.

    Attributes:
        source: Where the configuration comes from.
        hypernetwork: The arguments `hypernetwork` and `hypernetwork_options` of the model.
        model: Further arguments of `HypernetSDEFlow` besides `input_dim` and `seed`.
        adapted: Which parts of the HSF later tasks change, for a `DeltaHyperNetwork`.
        optimizer: Name and arguments, see `make_optimizer`.
        beta: The schedule of the weight of the attached nll, or a constant.
        gamma, delta: The weights of replay and of sep.
        embedding_table: See `EmbeddingTablePlugin`.
        protections: Arguments of further plugins, by the name of their class.
        hsf_protections: Those that name parts of the HSF; for the HSF they replace others of the
            same class.
        train_mb_size: Samples per minibatch.
        train_epochs: Epochs per experience.
    """

    source: str
    hypernetwork: Mapping[str, Any]
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    adapted: tuple[str, ...] | None = None
    beta: BetaSchedule | float = 0.0
    gamma: float = 0.0
    delta: float = 0.0
    embedding_table: bool = False
    protections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hsf_protections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    train_mb_size: int = 300
    train_epochs: int = 300

    @property
    def hsf(self) -> dict[str, Any]:
        """Arguments of `HypernetSDEFlow` besides `input_dim` and `seed`."""
        options = dict(self.hypernetwork["hypernetwork_options"])
        if self.adapted is not None:
            options["adapted"] = self.adapted
        return {**self.hypernetwork, "hypernetwork_options": options, **self.model}

    @property
    def all_protections(self) -> dict[str, Mapping[str, Any]]:
        """Of both kinds; the HSF's come first: the likelihood sees a flow before it is frozen."""
        others = {k: v for k, v in self.protections.items() if k not in self.hsf_protections}
        return {**self.hsf_protections, **others}

    def model_arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`hsf` with some arguments replaced, those among `sde_options` one by one.

        Another `hypernetwork` comes with its own `hypernetwork_options`.
        """
        arguments = {**self.hsf, **given}
        of_sde = check_mapping("sde_options", given.get("sde_options"))
        arguments["sde_options"] = {**self.hsf["sde_options"], **of_sde}
        if "hypernetwork" in given and "hypernetwork_options" not in given:
            del arguments["hypernetwork_options"]
        return arguments

    def optimizer_arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`optimizer` with some arguments replaced; with a `name`, all of them."""
        return dict(given) if "name" in given else {**self.optimizer, **given}

    def strategy_arguments(self) -> dict[str, Any]:
        """Arguments of `HSFStrategy` besides model, optimizer and protections."""
        names = ("beta", "gamma", "delta", "embedding_table", "train_mb_size", "train_epochs")
        return {name: getattr(self, name) for name in names}


# The fused kernel computes the same update as the default one, faster.
_ADAMW = {"name": "AdamW", "lr": 5e-4, "weight_decay": 0.01, "fused": True}
_PAPER = Preset(
    source="section 3.1 of the paper and the commit of the author's code that added it",
    hypernetwork={
        "hypernetwork": "paper",
        "hypernetwork_options": {"embedding_dim": 16, "embedding_std": 0.02},
    },
    model={"generated": "paper", "encoder_steps": 10, "decoder_steps": 10, "sde_options": {}},
    optimizer=_ADAMW,
    beta=BetaSchedule(scale=1.0, start=0.01, epochs=300),
    gamma=2.0,
    delta=1.5,
    embedding_table=True,
    protections={"DivergencePlugin": {}},
)
_ISOLATED = Preset(
    source="a set of weights for each task, kept exactly by IsolatedHyperNetwork",
    hypernetwork={"hypernetwork": "isolated", "hypernetwork_options": {}},
    # A gentle SDE starts close to the identity and needs fewer steps.
    model={"generated": "all", "encoder_steps": 4, "decoder_steps": 2, "sde_options": GENTLE_SDE},
    optimizer={"name": "SOAP", "lr": 5.6e-2, "betas": (0.9, 0.95), "precondition_frequency": 2},
    protections={
        "CosineRestartPlugin": {},
        "WarmStartPlugin": {},
        "FreezeSharedPlugin": {},
        "CommitPlugin": {},
        "DivergencePlugin": {},
    },
    hsf_protections={"DetachedLikelihoodPlugin": {}},
)

PRESETS: Mapping[str, Preset] = {
    "paper": _PAPER,
    "paper-early": replace(
        _PAPER,
        source="the loss weights of the author's benchmark before the paper",
        beta=BetaSchedule(scale=0.1, start=0.01, epochs=150),
        gamma=0.5,
        delta=0.3,
    ),
    "repaired": replace(
        _PAPER,
        source="the paper's network and loss with the fewest changes that cure it",
        optimizer=_ADAMW | {"lr": 8e-3, "betas": (0.9, 0.95)},
        beta=0.0,
        embedding_table=False,
        protections={
            "CosineRestartPlugin": {},
            "FreezeSharedPlugin": {},
            "FreezeEmbeddingsPlugin": {},
            # All tasks before the fifth; after that the time of a step does not grow.
            "OutputRegularizerPlugin": {"weight": 10.0, "n_tasks": 4},
            "DivergencePlugin": {},
        },
        hsf_protections={
            "DetachedLikelihoodPlugin": {},
            "FreezeSharedPlugin": {"trainable": ("flow.",)},
        },
    ),
    "isolated": _ISOLATED,
    "compact": replace(
        _ISOLATED,
        source="changes of the first task's weights, 1 kB a task and a density, DeltaHyperNetwork",
        hypernetwork={
            "hypernetwork": "delta",
            "hypernetwork_options": {"adapter": "core", "size": 124, "bits": 12},
        },
        adapted=("encoder.", "decoder."),
    ),
}

DEFAULT = "isolated"
"""The preset of `HSFStrategy.from_preset` unless one is named."""


def get_preset(name: str) -> Preset:
    """The preset of that name; ValueError, with the valid names, if it is unknown.

    >>> get_preset("paper").gamma
    2.0
    """
    return PRESETS[check_choice("preset", name, sorted(PRESETS))]
