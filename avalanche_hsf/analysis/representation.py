"""How much the representation of old samples changed, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from avalanche_hsf.checks import shown

Forward = Callable[[nn.Module], Any]
"""Runs a model on samples, such as `lambda model: model(x)`."""


def linear_cka(X: Tensor, Y: Tensor) -> float:
    r"""Similarity of two representations of the same samples, centred kernel alignment.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) of K = X X^T and L = Y Y^T. 1: one is the other
    rotated, mirrored, scaled or shifted; 0, up to the estimate's error: they have nothing in
    common; NaN: one is constant. HSIC is estimated without bias: the usual estimate comes near 1
    for any two representations that are wider than there are samples.

    Source: Kornblith et al. 2019, https://arxiv.org/abs/1905.00414; unbiased by Song et al. 2012,
    as in Nguyen et al. 2021, https://arxiv.org/abs/2010.15327.

    Args:
        X, Y: `n x p` and `n x q`; what lies behind the first dimension is flattened.

    Raises:
        ValueError: Of different numbers of samples, or of fewer than four.

    Example:
        >>> X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
        >>> round(linear_cka(X, 5 - 3 * X), 6)
        1.0
    """
    if len(X) != len(Y) or len(X) < 4:
        raise ValueError(
            f"X and Y must represent the same samples, four or more, got {len(X)} and {len(Y)}"
        )
    K, L = _kernel(X), _kernel(Y)
    return float(_hsic(K, L) / (_hsic(K, K) * _hsic(L, L)).sqrt())


def representation_change(
    early: nn.Module, late: nn.Module, forward: Forward, layers: Sequence[str] | None = None
) -> dict[str, float]:
    """1 - `linear_cka` of what each layer makes of samples, earlier and later; 0: unchanged.

    Args:
        early, late: Two states of a model.
        forward: Runs a model on the samples.
        layers: Names of modules inside; default: all without children that give out tensors.

    Returns:
        The change by layer, in the order in which the layers run.

    Raises:
        ValueError: A layer does not exist, or was not run.
    """
    before, after = (outputs_of(model, forward, layers) for model in (early, late))
    return {name: 1 - linear_cka(before[name], after[name]) for name in before if name in after}


@torch.no_grad()
def outputs_of(
    model: nn.Module,
    forward: Forward,
    layers: Sequence[str] | None = None,
    *,
    strict: bool = True,
) -> dict[str, Tensor]:
    """What layers give out for samples, `n x *` tensors by name, in the order in which they run.

    Of a layer that runs more than once the last output counts. Arguments and errors as in
    `representation_change`; if not strict, layers that do not run or give out no tensor are left
    out.
    """
    modules = dict(model.named_modules())
    if layers is None:
        chosen = {name: m for name, m in modules.items() if name and not list(m.children())}
    else:
        unknown = [name for name in layers if name not in modules]
        if unknown:
            raise ValueError(f"no layer {', '.join(unknown)}; choose from {', '.join(modules)}")
        chosen = {name: modules[name] for name in layers}
    seen: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim > 0:
                seen.pop(name, None)
                seen[name] = output.detach()

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in chosen.items()]
    try:
        with in_evaluation(model):
            forward(model)
    finally:
        for handle in handles:
            handle.remove()
    if strict and layers is not None and len(seen) < len(chosen):
        missing = ", ".join(name for name in chosen if name not in seen)
        raise ValueError(f"{missing}: not run, or no tensor came out")
    return seen


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module has the mode that it had."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch module, got {shown(model)}")
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _kernel(X: Tensor) -> Tensor:
    """Products of samples, centred against rounding alone; the diagonal is left out."""
    X = X.detach().flatten(1).double()
    X = X - X.mean(dim=0)
    return (X @ X.T).fill_diagonal_(0)


def _hsic(K: Tensor, L: Tensor) -> Tensor:
    """Hilbert-Schmidt independence criterion, without bias."""
    n = len(K)
    products = (K * L).sum() + K.sum() * L.sum() / ((n - 1) * (n - 2))
    return (products - 2 / (n - 2) * (K.sum(dim=0) @ L.sum(dim=0))) / (n * (n - 3))
