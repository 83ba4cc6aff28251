"""The likelihood term, kept from ruining what it looks at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from avalanche_hsf.checks import check_int, check_non_negative
from avalanche_hsf.models import HypernetSDEFlow, TaskGroups
from avalanche_hsf.models.written import Written
from avalanche_hsf.training.loading.in_memory import collected
from avalanche_hsf.training.losses import BetaSchedule, negative_log_likelihood
from avalanche_hsf.training.plugins.base import Protection
from avalanche_hsf.training.tasks import current_tasks, is_whole
from avalanche_hsf.training.terms import add_term


class DetachedLikelihoodPlugin(Protection):
    """Adds weight * nll of the whitened latents, detached: it trains the flow and nothing else.

    The paper's term reaches the encoder. Since the density has no volume term of the encoder, the
    encoder can lower it for ever by shrinking z0, and does so at the cost of everything else.
    Here the latents are detached, brought to zero mean and unit spread per task (`TaskWhitening`,
    2 * latent_dim numbers kept per task) and blurred a little, so that the nll is bounded below and
    the flow learns the shape of the latents.

    When an experience ends, a `LatentMixture` is fitted to the latents of each of its tasks, and is
    what `log_prob` and `sample` use from then on: a flow of smooth couplings cannot map a normal
    distribution to a curve, and a flow that is frozen, as for the later tasks of the preset
    compact, fits no task but the first. It changes nothing of what is trained, and keeps
    n_vectors * latent_dim numbers of 2 bytes, and a few more, per task. The parts of an online
    experience are too short for it: there the flow remains the density.

    For strategies that train a `HypernetSDEFlow`. Where the flow is frozen it adds no term.

    Source: equation (2) of the paper, mended; for the mixture see there.

    Args:
        weight: At least 0.
        noise: Standard deviation of the blur, in units of the whitened latents, at least 0.
        n_vectors: Means and axes of a task's mixture, at least 2; 0: none is fitted.
    """

    def __init__(self, weight: float = 0.1, *, noise: float = 0.05, n_vectors: int = 120) -> None:
        super().__init__()
        self.weight = check_non_negative("weight of DetachedLikelihoodPlugin", weight)
        self.noise = check_non_negative("noise of DetachedLikelihoodPlugin", noise)
        self.n_vectors = check_int("n_vectors of DetachedLikelihoodPlugin", n_vectors, at_least=0)
        if self.n_vectors == 1:
            raise ValueError("n_vectors of DetachedLikelihoodPlugin must be 0 or at least 2, got 1")

    def before_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Raises, before any training, without a flow or with a second likelihood term."""
        if not isinstance(strategy.model, HypernetSDEFlow):
            kind = type(strategy.model).__name__
            raise TypeError(f"DetachedLikelihoodPlugin needs a HypernetSDEFlow, got {kind}")
        super().before_training_exp(strategy, **kwargs)
        beta = getattr(strategy, "beta", None)
        if isinstance(beta, BetaSchedule) and beta.scale > 0:
            raise ValueError(
                "DetachedLikelihoodPlugin and a beta above 0 contradict each other: that one "
                "reaches the encoder; set beta=0"
            )

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        """Drops the mixtures of tasks that are trained again: their latents move."""
        if isinstance(strategy.model, HypernetSDEFlow):
            for label in current_tasks(strategy):
                strategy.model.density.of_task.pop(label, None)

    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        model, latents = strategy.model, getattr(strategy, "mb_latents", None)
        if latents is None:  # another strategy's, whose pass has kept nothing
            written = model.write(strategy.mb_task_id, len(strategy.mb_x))
        else:
            written = latents.written
        if not self._applies(model, written):
            return
        with torch.no_grad():
            z0 = model.encode(strategy.mb_x, written) if latents is None else latents.z0.detach()
            self._note(model, z0, written.groups)
            generator = model.noise.generator(z0.device)
            blur = self.noise * torch.randn(z0.shape, generator=generator, device=z0.device)
        u, log_det = model.flow_of(z0, written, blur=blur)
        add_term(strategy, "nll", self.weight * negative_log_likelihood(u, log_det))

    @torch.no_grad()
    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Fits mixtures and notes statistics of the finished tasks, over the whole experience."""
        if self.weight == 0:
            return
        dataset, model = strategy.experience.dataset.eval(), strategy.model
        x, *_, labels = collected(dataset, range(len(dataset)))
        x, labels = x.to(strategy.device), torch.as_tensor(labels)
        with torch.enable_grad():  # whether the flow can learn is seen by its gradients
            written = model.write(labels, len(labels))
        z0 = model.encode(x, written)
        if self._applies(model, written):
            self._note(model, z0, written.groups)
        if self.n_vectors and is_whole(strategy.experience):
            for label, rows in _by_task(z0, written.groups):
                model.density.fit_task(label, rows, n_vectors=self.n_vectors)

    def _applies(self, model: HypernetSDEFlow, written: Written) -> bool:
        """Whether the flow of some tasks can learn; a frozen one keeps what it has."""
        weights = (w for name, w in written.weights.items() if name.startswith("flow."))
        tensors = chain(weights, model.flow.parameters())  # mostly the first one decides
        return self.weight > 0 and any(tensor.requires_grad for tensor in tensors)

    @staticmethod
    def _note(model: HypernetSDEFlow, z0: Tensor, groups: TaskGroups) -> None:
        for label, rows in _by_task(z0, groups):
            model.whitening.set_task(label, rows)


def _by_task(z0: Tensor, groups: TaskGroups) -> Iterator[tuple[int, Tensor]]:
    for k, label in enumerate(groups.tasks):
        yield label, z0 if groups.of_row is None else z0[groups.of_row == k]
