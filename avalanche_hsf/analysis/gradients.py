"""Gradients of single tasks: their conflict, and the sharpness of the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from avalanche_hsf.analysis.components import Components, as_it_was, parameters_of
from avalanche_hsf.analysis.data import Data, spread_over
from avalanche_hsf.analysis.errors import Criterion, loss_of
from avalanche_hsf.checks import check_criterion_type, check_int

Loss = Callable[[nn.Module], Tensor]

N_KEPT = 6
"""Vectors of all parameters that Lanczos keeps before it looks whether it has converged."""


def loss_on(
    data: Data, criterion: Criterion | None = None, *, n_samples: int = 512, n_passes: int = 1
) -> Loss:
    """A model's loss on samples of a task, as a tensor to differentiate.

    Args:
        data, criterion, n_passes: See `error_on`.
        n_samples: Samples at most, evenly spaced.

    Returns:
        A function from a model to a scalar. It draws the same noise at every call, and leaves the
        model and all generators as they were.
    """
    check_criterion_type("criterion", criterion)
    minibatch = spread_over(data, check_int("n_samples", n_samples, at_least=1))
    check_int("n_passes", n_passes, at_least=1)

    def loss(model: nn.Module) -> Tensor:
        with as_it_was(model), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            passes = [loss_of(model, minibatch, criterion) for _ in range(n_passes)]
        return torch.stack(passes).mean()

    return loss


def gradient_conflict(
    model: nn.Module, loss: Loss, other: Loss, *, components: Components | None = None
) -> dict[str, float]:
    """Cosine between the gradients of two losses, by component.

    -1: a step for one harms the other; 0: independent; NaN: one of them has no gradient in the
    component.

    Args:
        model: Any module.
        loss, other: Of the task in training and of an old one, see `loss_on`.
        components: See `find_components`.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    pair = []
    for task_loss in (loss, other):
        gradients = _gradients(task_loss(model), list(trained.values()))
        pair.append(dict(zip(trained, gradients, strict=True)))
    cosines = {}
    for component, parts in parameters_of(model, components).items():
        names = [name for name in parts if name in trained]
        first, second = (_flat([gradients[name] for name in names]) for gradients in pair)
        norms = first.norm() * second.norm()
        cosines[component] = float(first @ second / norms) if norms > 0 else float("nan")
    return cosines


def sharpness(
    model: nn.Module,
    loss: Loss,
    *,
    parameters: Sequence[str] | None = None,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> float:
    """Largest eigenvalue of the Hessian of a loss, by Lanczos on Hessian-vector products.

    Args:
        model: Any module.
        loss: See `loss_on`; with `n_passes` above 1 the noise is averaged, else held fixed.
        parameters: Prefixes of the names of the parameters; default: all that are trained.
        tolerance: Relative accuracy.
        seed: Seed of the first vector.

    Returns:
        The algebraically largest eigenvalue: 2 / (learning rate) is where plain gradient descent
        becomes unstable.

    Raises:
        ValueError: No trained parameter's name has one of the prefixes.
    """
    named = {
        name: p
        for name, p in model.named_parameters()
        if p.requires_grad and (parameters is None or name.startswith(tuple(parameters)))
    }
    if not named:
        names = [name for name, _ in model.named_parameters()]
        raise ValueError(
            f"no trained parameter's name begins with {parameters}; choose from {names}"
        )
    chosen = list(named.values())
    with sdpa_kernel(SDPBackend.MATH):  # the fast kernels of attention have no second derivative
        gradient = _flat(_gradients(loss(model), chosen, create_graph=True))
    n = gradient.numel()
    if not gradient.requires_grad:
        return 0.0  # the loss is linear in them, or does not depend on them
    dtype = torch.promote_types(gradient.dtype, torch.float32)

    def product(v: np.ndarray) -> np.ndarray:
        vector = torch.from_numpy(np.ascontiguousarray(v.reshape(-1))).to(gradient)
        products = _gradients(gradient @ vector, chosen, retain_graph=True)
        return _array(_flat(products), dtype)

    if n <= 2:  # ARPACK needs more
        H = np.stack([product(e) for e in np.eye(n)])
        return float(np.linalg.eigvalsh((H + H.T) / 2)[-1])
    operator = LinearOperator((n, n), matvec=product, dtype=_array(gradient[:1], dtype).dtype)
    start = np.random.RandomState(seed).standard_normal(n).astype(operator.dtype)
    options = {"v0": start, "ncv": min(n, N_KEPT), "tol": tolerance}
    try:
        (largest,) = eigsh(operator, k=1, which="LA", return_eigenvectors=False, **options)
    except ArpackError:
        if not product(start).any():
            return 0.0  # the Hessian is 0
        raise
    return float(largest)


def _array(vector: Tensor, dtype: torch.dtype) -> np.ndarray:
    return vector.detach().cpu().to(dtype).numpy()


def _gradients(loss: Tensor, parameters: Sequence[Tensor], **options: Any) -> Sequence[Tensor]:
    """The gradient of each parameter, zero where the loss does not depend on it."""
    if not loss.requires_grad:
        return [torch.zeros_like(p) for p in parameters]
    return torch.autograd.grad(loss, parameters, materialize_grads=True, **options)


def _flat(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients] or [torch.zeros(0)])
