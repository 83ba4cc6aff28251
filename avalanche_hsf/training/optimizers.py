"""Optimizers by name, for configurations that are data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytorch_optimizer import SOAP
from torch import nn
from torch.optim import AdamW, Optimizer

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"AdamW": AdamW, "SOAP": SOAP}
"""AdamW: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101. SOAP, Adam in the eigenbasis
of Shampoo's preconditioner: Vyas et al. 2024, https://arxiv.org/abs/2409.11321."""


def make_optimizer(parameters: Iterable[nn.Parameter], options: Mapping[str, Any]) -> Optimizer:
    """An optimizer from its name and arguments.

    Args:
        parameters: What to optimize.
        options: `name`, one in `OPTIMIZERS`, and the arguments of that class.

    Raises:
        TypeError: The optimizer has no such argument; the message lists those it has.
        ValueError: There is no such optimizer; the message lists those there are.

    Example:
        >>> make_optimizer([nn.Parameter()], {"name": "AdamW", "lr": 1e-3}).defaults["lr"]
        0.001
    """
    arguments = dict(options)
    name = arguments.pop("name")
    if name not in OPTIMIZERS:
        raise ValueError(f"there is no optimizer {name!r}; there are {', '.join(OPTIMIZERS)}")
    known = set(inspect.signature(OPTIMIZERS[name]).parameters) - {"params", "kwargs"}
    for key in arguments:
        if key not in known:  # SOAP would take no notice
            raise TypeError(f"{name} has no argument {key!r}; there are {', '.join(sorted(known))}")
    return OPTIMIZERS[name](parameters, **arguments)
