"""The presets: Hypernet-SDE-Flows under HSFStrategy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from avalanche_hsf.experiments.learners.base import Learner, Setting, regularizers
from avalanche_hsf.training import (
    PRESETS,
    DetachedLikelihoodPlugin,
    DiffusionFloorPlugin,
    HSFStrategy,
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
"""Points of the frontier between error and floats per task, beside the preset `compact`."""


def _build(
    setting: Setting,
    *,
    preset: str,
    floor: float = 0.0,
    hypernetwork_options: Mapping[str, Any] | None = None,
    plugins: Any = (),
    regularized: Mapping[str, float] | None = None,
    varied: Mapping[str, float] | None = None,
    **common: Any,
) -> HSFStrategy:
    options = {**PRESETS[preset].hsf["hypernetwork_options"], **(hypernetwork_options or {})}
    model_options = {"latent_dim": setting.problem.latent_dim, "hypernetwork_options": options}
    changes = arguments_for(preset, varied or {})
    floors = [DiffusionFloorPlugin(floor)] if floor else []
    strategy = HSFStrategy.from_preset(
        preset,
        input_dim=setting.input_dim,
        seed=setting.seed,
        model_options=model_options | changes.pop("model_options", {}),
        plugins=[*plugins, *floors, *regularizers(**(regularized or {}))],
        **changes,
        **(setting.arguments | common),
    )
    for plugin in strategy.plugins:
        if isinstance(plugin, DetachedLikelihoodPlugin):
            plugin.n_vectors = 0  # reconstructions are compared, which need no density
    return strategy


def _learner(preset: str, about: str, group: str = "", **options: Any) -> Learner:
    return Learner(
        partial(_build, preset=preset, **options),
        about,
        optimizers=(),
        regularized=not preset.startswith("paper") or "floor" in options,
        autoencodes=True,
        group=group,
        ours=True,
        presets=(preset,),
    )


_FLOOR = f"with a diffusion of at least {FLOOR}"
_DELTA = "the preset compact with another change per task"

LEARNERS = {
    **{
        f"hsf-{name}": _learner(name, preset.source, "" if name == "paper-early" else "presets")
        for name, preset in PRESETS.items()
    },
    **{
        f"hsf-{name}-floor": _learner(name, f"the preset {name} {_FLOOR}", floor=FLOOR)
        for name in PRESETS
    },
    **{
        f"hsf-{name}": _learner(
            "compact", f"{_DELTA}: {name}", "frontier", hypernetwork_options=options
        )
        for name, options in DELTAS.items()
    },
}
