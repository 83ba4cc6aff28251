"""Training that has left the finite numbers."""

from __future__ import annotations

from cmath import isfinite
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from avalanche_hsf._private.torch import flattened

_SMALL = 2**16  # numbers up to which a copy is cheaper than a reduction of its own
_HALF = (torch.float16, torch.bfloat16)

OVERFLOW = "the squares of the gradients overflow"
"""Of gradients that are finite, but not for an optimizer that squares them."""


class DivergedError(ValueError):
    """A loss, gradient, weight, input or target is NaN or infinite; the step was not taken."""


NOT_TAKEN = "the step was not taken, so all weights are as they were before it"


def why_stopped(place: str, tasks: Sequence[int], cause: str, cure: str) -> str:
    """What is said of a step that was not taken.

    >>> why_stopped("at training pass 2", [4], "the loss is NaN", "clean the data")[:64]
    'training of task 4 diverged at training pass 2: the loss is NaN;'
    """
    named = f" of task{'s' if len(tasks) > 1 else ''} {', '.join(map(str, tasks))}" if tasks else ""
    spoiled = cause.startswith("weights")
    state = "an earlier step has left them so, go back to a checkpoint" if spoiled else NOT_TAKEN
    return f"training{named} diverged {place}: {cause}; {state}; {cure}"


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no entry is NaN or infinite."""
    return all(map(_is_finite, tensors))


def not_finite(named: Iterable[tuple[str, Tensor]], *, n: int = 3) -> str:
    """The names of the tensors with an entry that is NaN or infinite, of many the first n."""
    names = [name for name, tensor in named if not _is_finite(tensor)]
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def norm_of(tensors: Iterable[Tensor]) -> Tensor:
    """The norm of all entries of some tensors of floats together, in float32 or more.

    It is not finite if an entry is not, or if the squares leave the range of their type.
    """
    small: list[Tensor] = []
    norms = []
    for tensor in tensors:
        if tensor.numel() > _SMALL:
            norms.append(_norm(tensor))
        else:
            small.append(tensor)
    try:
        norms += [_norm(flattened(small))] if small else []
    except RuntimeError:  # on several devices, or sparse
        norms += map(_norm, small)
    if len(norms) == 1:
        return norms[0]
    return torch.stack([norm.to(norms[0]) for norm in norms]).norm() if norms else torch.zeros(())


def is_finite(number: Tensor) -> bool:
    """Whether a number is neither NaN nor infinite; also True of one that cannot be read.

    Tensors on the device meta have no values, and those inside `torch.vmap` have many.
    """
    try:
        return isfinite(number.item())
    except RuntimeError:
        return True


def _is_finite(tensor: Tensor) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    values = _values(tensor.detach())
    # The sum is one pass over the numbers, and may overflow.
    return is_finite(values.sum()) or bool(values.isfinite().all())


def _norm(tensor: Tensor) -> Tensor:
    values = _values(tensor)
    return torch.linalg.vector_norm(values, dtype=torch.float32 if values.dtype in _HALF else None)


def _values(tensor: Tensor) -> Tensor:
    """The numbers that are stored, of a sparse or nested tensor too."""
    if tensor.layout is torch.strided and not tensor.is_nested:
        return tensor
    return (tensor.coalesce() if tensor.is_sparse else tensor).values()
