"""Every learner that a command can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from avalanche.training import Naive
from torch import nn
from torch.optim import AdamW

from avalanche_hsf.experiments.learners.base import Learner, Setting, regularizers
from avalanche_hsf.experiments.learners.networks import NETWORK_LEARNERS
from avalanche_hsf.experiments.learners.peers import PEERS
from avalanche_hsf.models import MLPAutoencoder
from avalanche_hsf.training import (
    PRESETS,
    DiffusionFloorPlugin,
    HSFStrategy,
    InMemoryLoadingPlugin,
)
from avalanche_hsf.training.hyperparameters import arguments_for

FLOOR = 0.1
"""The diffusion of the learners with an honest SDE is at least this."""

DELTAS: Mapping[str, Mapping[str, Any]] = {
    "shift": {"adapter": "shift", "bits": None},
    "scale": {"adapter": "scale", "bits": None},
    **{f"low-rank-{r}": {"adapter": "low-rank", "size": r, "bits": None} for r in (1, 4)},
    **{f"core-{n}": {"adapter": "core", "size": n, "bits": None} for n in (12, 48, 124)},
    "core-48-12-bits": {"adapter": "core", "size": 48},
}
"""Points of the frontier between error and floats a task, beside the preset `compact`."""


def _mlp_paper(setting: Setting, *, plugins: Any = (), **common: Any) -> Naive:
    """The paper's baseline: one AdamW for all tasks, at a constant rate."""
    model = MLPAutoencoder(setting.input_dim, latent_dim=setting.latent_dim)
    return Naive(
        model=model,
        optimizer=AdamW(model.parameters(), lr=5e-4),
        criterion=nn.MSELoss(),
        train_mb_size=setting.n_samples,
        train_epochs=setting.steps,
        plugins=[*plugins, InMemoryLoadingPlugin()],
        **common,
    )


def _hsf(
    preset: str, *, floor: float = 0.0, hypernetwork_options: Mapping[str, Any] | None = None
) -> Callable[..., HSFStrategy]:
    def build(
        setting: Setting,
        *,
        plugins: Any = (),
        regularized: Mapping[str, float] | None = None,
        varied: Mapping[str, float] | None = None,
        **common: Any,
    ) -> HSFStrategy:
        options = dict(PRESETS[preset].hsf["hypernetwork_options"])
        options |= hypernetwork_options or {}
        chosen = arguments_for(preset, varied or {})
        model_options = {"latent_dim": setting.latent_dim, "hypernetwork_options": options}
        return HSFStrategy.from_preset(
            preset,
            input_dim=setting.input_dim,
            seed=setting.seed,
            model_options=model_options | chosen.pop("model_options", {}),
            train_mb_size=setting.n_samples,
            train_epochs=setting.steps,
            plugins=[
                *plugins,
                *([DiffusionFloorPlugin(floor)] if floor else []),
                *regularizers(**(regularized or {})),
            ],
            **chosen,
            **common,
        )

    return build


LEARNERS: dict[str, Learner] = {
    "mlp-paper": Learner(_mlp_paper, optimizers=(), regularized=False),
    **{
        f"hsf-{name}": Learner(_hsf(name), optimizers=(), regularized=not name.startswith("paper"))
        for name in PRESETS
    },
    **{f"hsf-{name}-floor": Learner(_hsf(name, floor=FLOOR), optimizers=()) for name in PRESETS},
    **{
        f"hsf-{name}": Learner(_hsf("compact", hypernetwork_options=options), optimizers=())
        for name, options in DELTAS.items()
    },
    **PEERS,
    **NETWORK_LEARNERS,
}
"""hsf-<preset>, as the preset says; hsf-<preset>-floor, the same with a diffusion of at least
`FLOOR`; hsf-<delta>, the preset compact with another of the `DELTAS`; mlp-paper, the paper's
baseline;
mlp-*, see `PEERS`; hn-* and net-*, for main networks, see `NETWORK_LEARNERS`."""
