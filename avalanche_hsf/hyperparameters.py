"""Names and ranges of the hyperparameters of a preset. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from avalanche_hsf.checks import check_non_negative, check_positive

EPOCHS = "epochs"
"""Epochs per task: an argument of a run, not of its configuration."""

FACTORS: Mapping[str, tuple[float, ...]] = {
    "beta": (0.1, 3),
    "gamma": (0.1, 10),
    "delta": (0.1, 10),
    "lr": (0.2, 4),
    EPOCHS: (1 / 3, 2),
    "solver_steps": (0.5, 2),
    "diffusion_scale": (0.1, 0.3),
    "embedding_dim": (0.25, 4),
    "latent_dim": (0.25, 2),
}
"""The hyperparameters that can be varied, with the default multiples of the preset's value."""

SETTABLE = tuple(name for name in FACTORS if name != EPOCHS)
"""Those of a configuration."""

LEAST: Mapping[str, int] = {EPOCHS: 1, "solver_steps": 1, "embedding_dim": 1, "latent_dim": 2}
"""Of what counts something, and so must be whole; of all others 0."""

POSITIVE = ("diffusion_scale",)
"""Of these, those that must be above 0."""

LARGEST: Mapping[str, int] = {
    EPOCHS: 10**6,
    "solver_steps": 10**6,
    "embedding_dim": 10**4,
    "latent_dim": 10**4,
}
"""Of the same; more is a slip, or fills the memory."""


def check_hyperparameter(name: str, known: Collection[str]) -> None:
    """ValueError, with the valid names, if it is none of them."""
    if name not in known:
        raise ValueError(f"unknown hyperparameter {name!r}; choose from {', '.join(known)}")


def check_value(name: str, value: float) -> float:
    """A value for a name in `FACTORS`: an int where it counts something.

    Raises:
        ValueError: It is not finite, negative, or 0 where it must not be; or where it counts, not
            whole, or not from its entry in `LEAST` to that in `LARGEST`.

    >>> check_value("latent_dim", 8.0)
    8
    """
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    if name not in LEAST:
        check = check_positive if name in POSITIVE else check_non_negative
        check(name, value)
        return value
    if value < LEAST[name]:
        raise ValueError(f"{name} must be at least {LEAST[name]}, got {value:g}")
    if value != int(value) or value > LARGEST[name]:
        raise ValueError(f"{name} must be a whole number of at most {LARGEST[name]}, got {value:g}")
    return int(value)


def check_settings(varied: Mapping[str, float]) -> dict[str, float]:
    """Values by name in `SETTABLE`, as `check_value` gives them; ValueError if it does not."""
    for name in varied:
        check_hyperparameter(name, SETTABLE)
    return {name: check_value(name, value) for name, value in varied.items()}
