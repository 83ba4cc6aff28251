"""What dictionaries make for new keys, and what makes it."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

from avalanche_hsf.checkpoints.kinds import address_of
from avalanche_hsf.checkpoints.values import MISSING


def lambda_of(node: Any) -> Any:
    """The lambda of a method of Avalanche's metrics, from its node; None if it is not known.

    Classes of Avalanche have factories without a name. One that takes nothing, and sees nothing of
    the method around it, is the same wherever it is made.
    """
    if not isinstance(node, list) or node[0] != "named":
        return None
    module, _, name = node[1].partition(":")
    method, _, last = name.rpartition(".<locals>.")
    is_known = module.startswith("avalanche.evaluation.") and module in sys.modules
    if not is_known or last != "<lambda>" or "<" in method:
        return None
    try:
        around = functools.reduce(getattr, method.split("."), sys.modules[module])
    except AttributeError:
        return None
    inside = getattr(getattr(around, "__code__", None), "co_consts", ())
    codes = [c for c in inside if isinstance(c, types.CodeType) and c.co_name == last]
    if len(codes) != 1 or codes[0].co_freevars or codes[0].co_argcount:
        return None
    function = types.FunctionType(codes[0], vars(sys.modules[module]))
    function.__qualname__ = name
    return function


def made_by(factory: Any, node: Any) -> Any:
    """What a factory makes, if it is of the class that a node has; else `MISSING`."""
    if factory is None or not isinstance(node, list) or node[0] not in ("dict", "object"):
        return MISSING
    made = factory()
    return made if address_of(type(made)) == node[2] else MISSING
