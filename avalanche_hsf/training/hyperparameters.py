"""Hyperparameters of a preset, by name: their values, and how to change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from avalanche_hsf.hyperparameters import SETTABLE, check_hyperparameter, check_settings
from avalanche_hsf.training import BetaSchedule, HSFStrategy, get_preset


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
                check_hyperparameter(key, SETTABLE)
    return {**arguments, "model_options": model} if model else arguments


def check_values(name: str, varied: Mapping[str, Any]) -> dict[str, Any]:
    """The values, as `check_settings` gives them, if a preset takes them.

    Raises:
        TypeError, ValueError: It does not.
    """
    get_preset(name)
    checked = check_settings(varied)
    arguments = arguments_for(name, checked)
    try:
        HSFStrategy.from_preset(name, input_dim=3, evaluator=None, **arguments)
    except (RuntimeError, MemoryError) as error:  # torch raises the former where memory is short
        given = ", ".join(f"{key}={value:g}" for key, value in checked.items())
        raise ValueError(f"{name} cannot be built with {given}: choose smaller values") from error
    return checked
