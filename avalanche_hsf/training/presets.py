"""Named configurations: data, not code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avalanche_hsf.training.losses import BetaSchedule


@dataclass(frozen=True)
class Preset:
    """One configuration of model, optimizer and loss.

    Attributes:
        model: Arguments of `HypernetSDEFlow` besides `input_dim` and `seed`.
        optimizer: Arguments of `torch.optim.AdamW`.
        train_mb_size: Samples a minibatch.
        train_epochs: Epochs an experience.
        beta: The schedule of the weight of nll.
        gamma: The weight of replay.
        delta: The weight of sep.
        embedding_table: Whether new embeddings are optimized as rows of a fixed table, see
            `EmbeddingTablePlugin`.
        source: Where the numbers come from.
    """

    train_mb_size: int
    train_epochs: int
    beta: BetaSchedule
    gamma: float
    delta: float
    embedding_table: bool
    source: str
    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Mapping[str, Any] = field(default_factory=dict)


_PAPER_MODEL = {
    "hidden_dim": 64,
    "latent_dim": 24,
    "task_embedding_dim": 16,
    "embedding_std": 0.02,
    "flow_layers": 4,
    "flow_hidden_dim": 64,
    "sde_hidden_dim": 64,
    "encoder_horizon": 1.0,
    "decoder_horizon": 0.5,
    "solver_steps": 10,
}
# The fused kernel computes the same update as the default one, faster.
_PAPER_OPTIMIZER = {"lr": 5e-4, "weight_decay": 0.01, "fused": True}

PRESETS: Mapping[str, Preset] = {
    "paper": Preset(
        train_mb_size=300,
        train_epochs=300,
        beta=BetaSchedule(scale=1.0, start=0.01, epochs=300),
        gamma=2.0,
        delta=1.5,
        embedding_table=True,
        model=_PAPER_MODEL,
        optimizer=_PAPER_OPTIMIZER,
        source="section 3.1 of the paper and the commit of the author's code that added it",
    ),
    "paper-early": Preset(
        train_mb_size=300,
        train_epochs=300,
        beta=BetaSchedule(scale=0.1, start=0.01, epochs=150),
        gamma=0.5,
        delta=0.3,
        embedding_table=True,
        model=_PAPER_MODEL,
        optimizer=_PAPER_OPTIMIZER,
        source="the loss weights of the author's benchmark before the paper",
    ),
}


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: There is none; the message lists those there are.

    >>> get_preset("paper").gamma
    2.0
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
