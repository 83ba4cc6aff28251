"""Training that has left the finite numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

_SMALL = 2**16  # numbers up to which a copy is cheaper than a reduction of its own
_HALF = (torch.float16, torch.bfloat16)


class DivergedError(ValueError):
    """A loss, gradient, weight, input or target is NaN or infinite; the step was not taken."""


def norm_of(tensors: Iterable[Tensor]) -> Tensor:
    """The norm of all entries of some tensors together, in float32 or more; what is no float: 0.

    It is not finite if an entry is not, or if the squares leave the range of their type.
    """
    small, norms = defaultdict(list), []
    for tensor in tensors:
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        flat = _values(tensor.detach()).reshape(-1)
        if flat.numel() <= _SMALL:
            small[flat.dtype, flat.device].append(flat)
        else:
            norms.append(_norm(flat))
    norms += [_norm(torch.cat(parts)) for parts in small.values()]
    if len(norms) == 1:
        return norms[0]
    return torch.stack([norm.to(norms[0]) for norm in norms]).norm() if norms else torch.zeros(())


def is_true(value: Tensor) -> bool:
    """A truth value; also True of one that cannot be read.

    Tensors on the device meta have no values, and those inside `torch.vmap` have many.
    """
    try:
        return bool(value)
    except RuntimeError:
        return True


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no entry is NaN or infinite; one read of the device if the squares are finite too."""
    tensors = list(tensors)
    return is_true(norm_of(tensors).isfinite()) or all(map(_is_finite, tensors))


def not_finite(named: Iterable[tuple[str, Tensor]], *, n: int = 3) -> str:
    """The names of the tensors with an entry that is NaN or infinite, of many the first n."""
    names = [name for name, tensor in named if not _is_finite(tensor)]
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def _is_finite(tensor: Tensor) -> bool:
    return is_true(_values(tensor.detach()).isfinite().all())


def _norm(flat: Tensor) -> Tensor:
    return torch.linalg.vector_norm(flat, dtype=torch.float32 if flat.dtype in _HALF else None)


def _values(tensor: Tensor) -> Tensor:
    """The numbers that are stored, of a sparse or nested tensor too."""
    if tensor.is_sparse:
        tensor = tensor.coalesce()
    return tensor.values() if tensor.is_nested or tensor.layout != torch.strided else tensor
