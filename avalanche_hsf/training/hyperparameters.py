"""Hyperparameters of a preset, by name: their values, and how to change them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from avalanche_hsf.training import BetaSchedule, HSFStrategy, get_preset

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

LARGEST: Mapping[str, int] = {
    EPOCHS: 10**6,
    "solver_steps": 10**6,
    "embedding_dim": 10**4,
    "latent_dim": 10**4,
}
"""Of what counts something, and so must be whole; more is a slip, or fills the memory."""


def values_of(name: str) -> dict[str, float]:
    """The values of a preset for `FACTORS`, except epochs and latent width, by name.

    Weights of 0 and options that its hypernetwork lacks are left out; `solver_steps` are the
    encoder's.

    >>> values_of("compact")
    {'lr': 0.056, 'solver_steps': 4, 'diffusion_scale': 0.1}
    """
    preset = get_preset(name)
    beta = preset.beta.scale if isinstance(preset.beta, BetaSchedule) else preset.beta
    weights = {"beta": beta, "gamma": preset.gamma, "delta": preset.delta}
    values = {
        **{weight: value for weight, value in weights.items() if value},
        "lr": preset.optimizer["lr"],
        "solver_steps": preset.model["encoder_steps"],
        "diffusion_scale": preset.model["sde_options"].get("diffusion_scale", 1.0),
    }
    options = preset.hypernetwork["hypernetwork_options"]
    if "embedding_dim" in options:
        values["embedding_dim"] = options["embedding_dim"]
    return values


def arguments_for(name: str, varied: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `HSFStrategy.from_preset` that set some hyperparameters of a preset.

    `varied` has values by name in `FACTORS`, epochs excepted; ValueError lists the valid names.
    beta is the last value of its schedule, solver_steps are the encoder's and the decoder's.

    >>> arguments_for("paper", {"gamma": 0, "solver_steps": 5})["model_options"]
    {'encoder_steps': 5, 'decoder_steps': 5}
    """
    preset = get_preset(name)
    arguments: dict[str, Any] = {}
    model: dict[str, Any] = {}
    for key, value in varied.items():
        match key:
            case "beta" if isinstance(preset.beta, BetaSchedule):
                arguments[key] = replace(preset.beta, scale=value)
            case "beta" | "gamma" | "delta":
                arguments[key] = value
            case "lr":
                arguments["optimizer_options"] = {"lr": value}
            case "solver_steps":
                model |= {"encoder_steps": value, "decoder_steps": value}
            case "diffusion_scale":
                model["sde_options"] = {key: value}
            case "embedding_dim":
                model["hypernetwork_options"] = {**preset.hsf["hypernetwork_options"], key: value}
            case "latent_dim":
                model[key] = value
            case _:
                names = ", ".join(name for name in FACTORS if name != EPOCHS)
                raise ValueError(f"unknown hyperparameter {key!r}; choose from {names}")
    return {**arguments, "model_options": model} if model else arguments


def check_value(name: str, value: float) -> float:
    """A value for a name in `FACTORS`: an int where it counts something.

    Raises:
        ValueError: It is not finite, or where it counts, not whole or above its entry in
            `LARGEST`.

    >>> check_value("latent_dim", 8.0)
    8
    """
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value}")
    if name not in LARGEST:
        return value
    if name == EPOCHS and value < 1:
        raise ValueError(f"{name} must be at least 1, got {value:g}")
    if value != int(value) or value > LARGEST[name]:
        raise ValueError(f"{name} must be a whole number of at most {LARGEST[name]}, got {value:g}")
    return int(value)


def check_values(name: str, varied: Mapping[str, Any]) -> dict[str, Any]:
    """The values, as `check_value` gives them, if a preset takes them.

    Raises:
        TypeError, ValueError: It does not.
    """
    checked = {key: check_value(key, value) for key, value in varied.items()}
    arguments = arguments_for(name, checked)
    try:
        HSFStrategy.from_preset(name, input_dim=3, evaluator=None, **arguments)
    except (RuntimeError, MemoryError) as error:  # torch raises the former where memory is short
        given = ", ".join(f"{key}={value:g}" for key, value in checked.items())
        raise ValueError(f"{name} cannot be built with {given}: choose smaller values") from error
    return checked
