"""What a module of a user does besides mapping rows to rows, found out by running it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.models.tasks.call import call_per_task
from avalanche_hsf.models.tasks.groups import TaskGroups
from avalanche_hsf.models.tasks.nested import cloned, map_tensors, n_rows, rows_of, tensors_of
from avalanche_hsf.models.tasks.slots import filled
from avalanche_hsf.models.tasks.snapshot import changes, put, same, state_of, undone

Weights = Mapping[str, Tensor]
_LABELS = torch.tensor([0, 1, 1, 0, 1, 1, 1])  # uneven, so that rows are filled up
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
_DROPOUT = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)


def runs_side_by_side(module: nn.Module, weights: Weights, x: Any) -> bool:
    """Whether two tasks side by side give what they give one after the other.

    It is tried on seven of the rows, in groups of two and five, at weights and inputs that are
    moved a little, so that no zero hides anything, without dropout: outputs, and with gradients
    enabled those of the weights. A module that draws other random numbers, leaves something
    behind, mixes rows or counts them does not. It is afterwards as before.

    Args:
        module: Any module, whose written parameters were released.
        weights: Of one task.
        x: Tensors of n >= 1 rows, or nested dictionaries, lists and tuples of them.
    """
    generator = torch.Generator().manual_seed(0)
    with warnings.catch_warnings():
        # What has no rule of its own under torch.vmap is slower there than one after the other.
        warnings.filterwarnings("error", message="There is a performance drop")
        return _agree(module, weights, x, generator)


def _agree(module: nn.Module, weights: Weights, x: Any, generator: torch.Generator) -> bool:
    try:
        rows = torch.arange(len(_LABELS)) % n_rows(x)
        x = map_tensors(lambda leaf: moved(leaf, generator, 0.3), rows_of(x, rows))
        both = {
            n: torch.stack([moved(w, generator, 0.1) for _ in "ab"]) for n, w in weights.items()
        }
        groups = TaskGroups.from_labels(_LABELS, len(_LABELS))
        results = []
        for run in (_one_after_the_other, call_per_task):
            with undone(module):
                _without_dropout(module)
                before, drawn = state_of(module), torch.get_rng_state()
                leaves = {
                    n: w.detach().requires_grad_(w.is_floating_point()) for n, w in both.items()
                }
                out = tensors_of(run(module, leaves, groups, cloned(x)))
                if changes(module, before) or not torch.equal(torch.get_rng_state(), drawn):
                    return False
                results.append([*out, *_gradients(out, list(leaves.values()))])
        return all(_close(a, b) for a, b in zip(*results, strict=True))
    except Exception:  # of torch.vmap in many kinds, or whatever such a batch leads a module to
        return False


def depends_on(
    module: nn.Module,
    run: Callable[[Any, Weights], Any],
    x: Any,
    weights: Weights,
    former: dict[str, Any],
) -> bool:
    """Whether an answer is another one with the former values of what a module keeps.

    In training mode or in evaluation mode, for this batch or another one, at these weights or
    others, with the same random draws. A value that is only left behind for others to read, or
    kept to save time, changes no answer.
    """
    if not former:
        return False
    generator = torch.Generator().manual_seed(0)
    elsewhere = {name: moved(w, generator, 0.1) for name, w in weights.items()}
    cases = [(x, weights), (map_tensors(lambda t: moved(t, generator, 0.3), x), elsewhere)]
    try:
        for training in (True, False):
            for inputs, of_task in cases:
                outs = []
                for values in ({}, former):
                    with undone(module):
                        module.train(training)
                        put(module, values)
                        outs.append(run(inputs, of_task))
                if not same(tensors_of(outs[0]), tensors_of(outs[1])):
                    return True
    except Exception:  # whatever such a pass leads a user's code to
        return True
    return False


def moved(leaf: Any, generator: torch.Generator, share: float) -> Any:
    """A floating-point tensor with noise of a share of its size; integers in another order."""
    if not isinstance(leaf, Tensor) or not leaf.dim():
        return leaf
    if not leaf.is_floating_point():
        return leaf.flip(0) if leaf.dtype is not torch.bool else leaf
    noise = torch.randn(leaf.shape, generator=generator).to(leaf)
    return leaf.detach() + share * (leaf.detach().abs().mean() + 0.1) * noise


def _one_after_the_other(module: nn.Module, weights: Weights, groups: TaskGroups, x: Any) -> Any:
    outs, rows = [], []
    for k in range(len(groups.tasks)):
        rows.append((groups.of_row == k).nonzero().flatten())  # type: ignore[union-attr]
        with filled(module, {name: w[k] for name, w in weights.items()}):
            outs.append(module(rows_of(x, rows[-1])))
    order = torch.cat(rows).argsort()
    return [torch.cat(parts)[order] for parts in zip(*map(tensors_of, outs), strict=True)]


def _gradients(outs: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    loss = sum((o * o.detach().cos()).sum() for o in outs if o.is_floating_point())
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        return []
    return list(torch.autograd.grad(loss, weights, materialize_grads=True, allow_unused=True))


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    size = float(a.detach().abs().nan_to_num().max()) if a.numel() else 0.0
    halves = torch.is_autocast_enabled(a.device.type)
    tolerance = 0.05 if halves else _TOLERANCE.get(a.dtype, 0.05)
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * size + 1e-12, equal_nan=True)


def _without_dropout(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, _DROPOUT):
            layer.p = 0.0
        elif isinstance(layer, nn.MultiheadAttention):
            layer.dropout = 0.0
