"""The four terms of the paper's loss and the schedule of beta, as pure functions.

L = recon + beta * nll + gamma * replay + delta * sep  (section 2.5, equation (3))
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avalanche_hsf.checks import check_int, check_non_negative


def negative_log_likelihood(u: Tensor, log_det: Tensor) -> Tensor:
    r"""nll = -mean_n [log N(u_n; 0, I) + log_det_n], in nats per sample, summed over dimensions.

    Unbounded below when z0 is free: shrinking z0 raises log_det without limit, since the density
    of z0 has no volume term of the encoder.

    Source: section 2.4, equation (2) of the paper.

    Args:
        u: A `n x d` tensor, the flow's output.
        log_det: log |det du/dz0| in nats, shape (n,).

    Example:
        >>> negative_log_likelihood(torch.zeros(4, 2), torch.zeros(4))  # log(2 pi)
        tensor(1.8379)
    """
    log_p_u = -0.5 * (u.square().sum(dim=1) + u.shape[1] * math.log(2 * math.pi))
    return -(log_p_u + log_det).mean()


def separation(current: Tensor, others: Tensor) -> Tensor:
    r"""sep = sum_t sum_k exp(-||e_t - e_k||), between current and other task embeddings.

    In (0, 1] per pair, 1 where two embeddings coincide; 0 without others. The gradient reaches
    both.

    Source: section 2.5 of the paper; the form from the author's public code.

    Args:
        current: A `a x dim` tensor, the embeddings of the tasks in training.
        others: A `b x dim` tensor, those of all other tasks.

    Example:
        >>> separation(torch.zeros(1, 16), torch.zeros(3, 16))
        tensor(3.)
    """
    distance = torch.linalg.vector_norm(current.unsqueeze(1) - others.unsqueeze(0), dim=2)
    return torch.exp(-distance).sum()


def distillation(scores: Tensor, target: Tensor, temperature: float = 2.0) -> Tensor:
    r"""T^2 * mean over n of KL(softmax(target / T) || softmax(scores / T)), in nats, at least 0.

    Classes that only `scores` has, such as those of a later task, have probability 0 in the target,
    and so has a class whose target is -inf.

    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531

    Args:
        scores: Of classes, `n x c`.
        target: `n x b` with b at most c.
        temperature: T, above 0.

    Example:
        >>> distillation(torch.zeros(2, 3), torch.zeros(2, 3))
        tensor(0.)
    """
    p = (target / temperature).softmax(dim=1)
    p = functional.pad(p, (0, scores.shape[1] - p.shape[1]))
    log_q = (scores / temperature).log_softmax(dim=1)
    return temperature**2 * functional.kl_div(log_q, p, reduction="batchmean")


@dataclass(frozen=True)
class BetaSchedule:
    """beta(epoch) = scale * min(1, start + (1 - start) * epoch / epochs), anew for each task.

    Source: section 2.5 of the paper ("the weight beta is annealed"); constants from the author's
    public code.

    Args:
        scale: Final value, at least 0.
        start: First value as a share of the last, in [0, 1].
        epochs: Epochs until the final value, at least 1.

    Example:
        >>> BetaSchedule()(0), BetaSchedule()(300)
        (0.01, 1.0)
    """

    scale: float = 1.0
    start: float = 0.01
    epochs: int = 300

    def __post_init__(self) -> None:
        check_non_negative("scale of beta", self.scale)
        if check_non_negative("start of beta", self.start) > 1:
            raise ValueError(f"start of beta must be at most 1, got {self.start}")
        check_int("epochs of beta", self.epochs, at_least=1)

    def __call__(self, epoch: int) -> float:
        """beta in the given epoch of an experience, counted from 0."""
        return self.scale * min(1.0, self.start + (1 - self.start) * epoch / self.epochs)
