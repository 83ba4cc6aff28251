"""Terms of the loss of a minibatch, and how they are watched.

While they are watched, `strategy.loss_terms` is a dictionary of the terms by name, weights
included; otherwise it is None or missing.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def add_term(strategy: Any, name: str, term: Tensor) -> None:
    """Adds a term to the loss of the minibatch."""
    strategy.loss = strategy.loss + note_term(strategy, name, term)


def note_term(strategy: Any, name: str, term: Tensor) -> Tensor:
    """Notes a term if the terms are watched, and returns it."""
    terms = getattr(strategy, "loss_terms", None)
    if terms is not None:
        terms[name] = term
    return term


def watch_terms(strategy: Any) -> None:
    """Starts watching a minibatch, without terms so far; called before the forward pass."""
    strategy.loss_terms = {}


def watched_terms(strategy: Any) -> dict[str, Tensor]:
    """The terms noted since `watch_terms`."""
    return dict(getattr(strategy, "loss_terms", None) or {})


def forget_terms(strategy: Any) -> None:
    """Ends the watching, of all who watch; called after the backward pass."""
    strategy.loss_terms = None
