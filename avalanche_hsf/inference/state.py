"""States that are loaded as a whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn


class AllOrNothing(nn.Module):
    """A state that is refused changes nothing: it is tried on a copy first."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As torch's; what it raises, it raises before anything is loaded."""
        try:
            trial = copy.deepcopy(self)
        except Exception:  # of whatever a user's module holds
            trial = None
        if trial is not None:
            nn.Module.load_state_dict(trial, state_dict, strict, assign)
        return super().load_state_dict(state_dict, strict, assign)


def described(score: nn.Module | None) -> str:
    """A score's class and settings, those of its attributes that are plain values.

    >>> from avalanche_hsf.inference import SubspaceScore
    >>> described(SubspaceScore(8))
    'SubspaceScore(n_components=8)'
    """
    if score is None:
        return "None"
    settings = {
        name: value
        for name, value in vars(score).items()
        if isinstance(value, bool | int | float | str) and not name.startswith("_")
        if name not in ("training", "needs_density")
    }
    shown = ", ".join(f"{name}={value!r}" for name, value in sorted(settings.items()))
    return f"{type(score).__name__}({shown})"


def settings_of(recognizer: Any) -> dict[str, str]:
    """What a calibration depends on besides the model's weights."""
    return {
        "score": described(recognizer.score),
        "first": described(recognizer.first),
        "calibrated": str(recognizer.calibrated),
    }


def check_settings(recognizer: Any, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """ValueError, before anything is loaded, if a state is of other settings; older ones have none.

    A hook before loading.
    """
    stored = state.get(f"{prefix}_extra_state", {}).get("settings", {})
    for name, ours in settings_of(recognizer).items():
        theirs = stored.get(name, ours)
        if theirs != ours:
            raise ValueError(
                f"the state is of a TaskRecognizer with {name}={theirs}, this one has {ours}: make "
                "it as the saved one was made"
            )
