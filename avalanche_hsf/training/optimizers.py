"""Optimizers by name, for configurations that are data."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from avalanche_hsf.checks import check_choice, check_mapping, check_non_negative

OPTIMIZERS = ("AdamW", "SOAP")
"""AdamW: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101. SOAP, Adam in the eigenbasis
of Shampoo's preconditioner: Vyas et al. 2024, https://arxiv.org/abs/2409.11321."""


def optimizer_class(name: str) -> type[Optimizer]:
    """The class of an optimizer in `OPTIMIZERS`; `MissingExtraError` if its package is missing."""
    if name == "AdamW":
        return AdamW
    from avalanche_hsf.training.soap import SOAP  # needs an extra, which AdamW does without

    return SOAP


def make_optimizer(parameters: Iterable[nn.Parameter], options: Mapping[str, Any]) -> Optimizer:
    """An optimizer from its name and arguments.

    Args:
        parameters: What to optimize.
        options: `name`, one in `OPTIMIZERS`, and the arguments of that class.

    Raises:
        TypeError: An argument is unknown; the message lists the valid names.
        ValueError: The name is unknown; the message lists the valid names.

    Example:
        >>> make_optimizer([nn.Parameter()], {"name": "AdamW", "lr": 1e-3}).defaults["lr"]
        0.001
    """
    arguments = check_mapping("options of the optimizer", options)
    name = check_choice("optimizer", arguments.pop("name", None), OPTIMIZERS)
    kind = optimizer_class(name)
    names = set(inspect.signature(kind).parameters) - {"params", "kwargs"}
    for key in arguments:
        if key not in names:  # SOAP would ignore it
            choice = ", ".join(sorted(names))
            raise TypeError(f"{name} has no argument {key!r}; choose from {choice}")
    if "lr" in arguments:
        check_non_negative("lr", arguments["lr"])
    try:
        return kind(parameters, **arguments)
    except (IndexError, TypeError, ValueError) as error:
        raised = TypeError if isinstance(error, IndexError) else type(error)
        raise raised(f"{name} does not take its parameters and options: {error}") from error
