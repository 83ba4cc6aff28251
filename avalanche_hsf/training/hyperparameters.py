"""The hyperparameters of a preset by name: what they are, and how to set them otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from avalanche_hsf.training import BetaSchedule, HSFStrategy, get_preset

EPOCHS = "epochs"
"""Of a task; a run's own argument, not one of its configuration."""

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
"""Every hyperparameter that can be varied, with the multiples of a preset's own value that are
tried unless values are given."""

INTEGERS = {EPOCHS, "solver_steps", "embedding_dim", "latent_dim"}


def values_of(name: str) -> dict[str, float]:
    """What a preset has of the `FACTORS`, but the epochs and the latent's width, by name.

    A weight of 0 is left out, and so is what its hypernetwork does not know. Where encoder and
    decoder differ in their solver's steps, the encoder's.

    >>> values_of("compact")
    {'lr': 0.056, 'solver_steps': 4, 'diffusion_scale': 0.1}
    """
    preset = get_preset(name)
    weights = {
        "beta": preset.beta.scale if isinstance(preset.beta, BetaSchedule) else preset.beta,
        "gamma": preset.gamma,
        "delta": preset.delta,
    }
    values = {
        **{weight: value for weight, value in weights.items() if value},
        "lr": preset.optimizer["lr"],
        "solver_steps": preset.model["encoder_steps"],
        "diffusion_scale": preset.model["sde_options"].get("diffusion_scale", 1.0),
    }
    if preset.hypernetwork["hypernetwork"] != "delta":
        options = preset.hypernetwork["hypernetwork_options"]
        values["embedding_dim"] = options.get("embedding_dim", 16)
    return values


def arguments_for(name: str, varied: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `HSFStrategy.from_preset` that set some hyperparameters of a preset.

    Args:
        name: Of the preset.
        varied: Values by name, of those in `FACTORS` but the epochs. beta is the last value of its
            schedule, solver_steps are the encoder's and the decoder's.

    Raises:
        ValueError: A name is not known; the message lists those there are.

    >>> arguments_for("paper", {"gamma": 0, "solver_steps": 5})["model_options"]
    {'encoder_steps': 5, 'decoder_steps': 5}
    """
    preset = get_preset(name)
    made: dict[str, Any] = {}
    model: dict[str, Any] = {}
    for each, value in varied.items():
        match each:
            case "beta":
                schedule = preset.beta
                made["beta"] = (
                    replace(schedule, scale=value) if isinstance(schedule, BetaSchedule) else value
                )
            case "gamma" | "delta":
                made[each] = value
            case "lr":
                made["optimizer_options"] = {"lr": value}
            case "solver_steps":
                model |= {"encoder_steps": value, "decoder_steps": value}
            case "diffusion_scale":
                model["sde_options"] = {each: value}
            case "embedding_dim":
                model["hypernetwork_options"] = {**preset.hsf["hypernetwork_options"], each: value}
            case "latent_dim":
                model[each] = value
            case _:
                there_are = ", ".join(known for known in FACTORS if known != EPOCHS)
                raise ValueError(f"there is no hyperparameter {each!r}; there are {there_are}")
    return {**made, "model_options": model} if model else made


def check_values(name: str, varied: Mapping[str, Any]) -> None:
    """Raises ValueError or TypeError where a preset does not take these values."""
    HSFStrategy.from_preset(name, input_dim=3, evaluator=None, **arguments_for(name, varied))
