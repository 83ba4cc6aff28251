"""What a sweep changes: one hyperparameter or loss term at a time. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avalanche_hsf.hyperparameters import EPOCHS, FACTORS, LEAST, check_hyperparameter, check_value

LOSS_TERMS = "loss-terms"
"""The name of the paper's debugging experiments, section 3.3, among what can be varied."""

UNCHANGED = "as it is"
_WEIGHTS = {"beta": "nll", "gamma": "replay", "delta": "sep"}
_OF_EVERY_RUN = (EPOCHS, "latent_dim")


@dataclass(frozen=True)
class Variation:
    """A preset with something changed.

    Attributes:
        label: What was changed, in words.
        varied: Values of hyperparameters, see `arguments_for`.
        epochs: Epochs per task.
    """

    label: str
    varied: Mapping[str, float]
    epochs: int


def everything(values: Mapping[str, float]) -> dict[str, Sequence[float]]:
    """What `variations` can vary of a preset with these values without being given others."""
    terms = [LOSS_TERMS] if _WEIGHTS.keys() & values.keys() else []
    return dict.fromkeys([*terms, *(n for n in FACTORS if n in values or n in _OF_EVERY_RUN)], ())


def variations(
    preset: str,
    values: Mapping[str, float],
    vary: Mapping[str, Sequence[float]],
    *,
    latent_dim: int,
    epochs: int,
) -> list[Variation]:
    """The preset as it is, then each change of it.

    Args:
        preset: A name in `PRESETS`.
        values: The preset's own, see `values_of`.
        vary: The values to try, by `LOSS_TERMS` or a name in `FACTORS`. An empty list stands for
            multiples of the preset's value; for `LOSS_TERMS` it must be empty.
        latent_dim: Latent width unless it is varied.
        epochs: Epochs per task unless they are varied.

    Raises:
        ValueError: A name is unknown, `LOSS_TERMS` has values, no values are given for what the
            preset lacks, one is out of its range, or the preset has no loss terms to leave out.
    """
    defaults = {**values, EPOCHS: epochs, "latent_dim": latent_dim}
    changes = {UNCHANGED: Variation(UNCHANGED, {}, epochs)}
    for name, given in vary.items():
        if name == LOSS_TERMS:
            if given:
                raise ValueError(f"{LOSS_TERMS} takes no values, got {list(given)}")
            for label, varied in _loss_terms(preset, defaults).items():
                changes[label] = Variation(label, varied, epochs)
            continue
        check_hyperparameter(name, [LOSS_TERMS, *FACTORS])
        if not given and name not in defaults:
            raise ValueError(f"{preset} has no {name} of its own: give values, {name}=A,B,...")
        for value in given or _multiples(name, defaults[name]):
            value = check_value(name, value)
            label = f"{name} {value:g}"
            if name == EPOCHS:
                changes[label] = Variation(label, {}, int(value))
            elif value != defaults.get(name):
                changes[label] = Variation(label, {name: value}, epochs)
    return list(changes.values())


def _multiples(name: str, value: float) -> list[float]:
    """The values that are tried of a hyperparameter for which none are given."""
    multiples = [float(f"{value * factor:.6g}") for factor in FACTORS[name]]
    least = LEAST.get(name)
    return multiples if least is None else [max(round(value), least) for value in multiples]


def _loss_terms(preset: str, values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The paper's debugging experiments and each term alone beside recon, as far as it has them."""
    weights = [name for name in _WEIGHTS if name in values]
    if not weights:
        raise ValueError(f"{preset} has no weight of a loss term above 0, so no {LOSS_TERMS}")
    experiments = {"recon alone": dict.fromkeys(weights, 0.0)}
    for weight in weights:
        others = [name for name in weights if name != weight]
        experiments[f"recon + {_WEIGHTS[weight]}"] = dict.fromkeys(others, 0.0)
        if len(weights) > 2:
            experiments[f"without {_WEIGHTS[weight]}"] = {weight: 0.0}
    penalties = [name for name in ("gamma", "delta") if name in values]
    for factor in (2, 5, 10) if penalties else ():
        label = f"{' and '.join(_WEIGHTS[name] for name in penalties)} x {factor}"
        experiments[label] = {name: factor * values[name] for name in penalties}
    return experiments
