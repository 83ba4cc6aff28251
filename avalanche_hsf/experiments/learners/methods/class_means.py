"""Classifiers without gradients: class means of the raw inputs, with and without a covariance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from avalanche.training import StreamingLDA
from torch import Tensor, nn

from avalanche_hsf.experiments.learners.base import Learner, Setting
from avalanche_hsf.training import InMemoryLoadingPlugin


class _Discriminant(StreamingLDA):
    """Streaming LDA that answers with classes it has seen, and takes a minibatch in at once.

    In 0.6 a class never seen has the score 0, which may be the highest; and each sample changes
    the whole covariance, which is minutes for MNIST. The sums are the same.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.Sigma: Tensor
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def _check_plugin_compatibility(self) -> None:
        """It would warn of plugins that watch a backward pass, which those here can do without."""

    def fit(self, x: Tensor, y: Tensor) -> None:
        self._waiting.append((x, y))

    @torch.no_grad()
    def _after_update(self, **kwargs: Any) -> None:
        x, y = map(torch.cat, zip(*self._waiting, strict=True))
        self._waiting = []
        moved = torch.empty_like(x)  # from the mean of the class as it was before the sample
        for c in y.unique():
            rows, n = y == c, self.cK[c]
            before = torch.arange(int(rows.sum()), dtype=x.dtype).unsqueeze(1)
            sums = n * self.muK[c] + x[rows].cumsum(dim=0) - x[rows]
            moved[rows] = x[rows] - sums / (n + before).clamp(min=1)
            self.muK[c] += (x[rows] - self.muK[c]).sum(dim=0) / (n + len(before))
            self.cK[c] += len(before)
        if self.streaming_update_sigma:
            n_before = self.num_updates + torch.arange(len(x), dtype=x.dtype).unsqueeze(1)
            sums = self.num_updates * self.Sigma + moved.T @ (moved * n_before / (n_before + 1))
            self.Sigma = sums / (self.num_updates + len(x))
        self.num_updates += len(x)
        super()._after_update(**kwargs)

    def predict(self, X: Tensor) -> Tensor:
        return self._seen(super().predict(X))

    def _seen(self, scores: Tensor) -> Tensor:
        return scores.masked_fill(self.cK == 0, -1e9)  # finite: the loss of the first samples is


class _NearestMean(_Discriminant):
    """The class whose mean is nearest: streaming LDA with the identity for a covariance."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(streaming_update_sigma=False, **arguments)
        self.Sigma = self.Lambda = torch.zeros(0)  # not kept

    @torch.no_grad()
    def predict(self, X: Tensor) -> Tensor:
        return self._seen(X @ self.muK.T - self.muK.square().sum(dim=1) / 2)


def _build(
    setting: Setting, *, strategy: Callable[..., StreamingLDA], plugins: Any = (), **common: Any
) -> StreamingLDA:
    # Once through the samples, which it takes one by one whatever the minibatch; it inverts its
    # covariance for each minibatch, to no use.
    once = {"train_epochs": 1, "train_mb_size": setting.n_samples}
    return strategy(
        slda_model=nn.Flatten(),
        input_size=setting.input_dim,
        num_classes=setting.output_dim,
        plugins=[*plugins, InMemoryLoadingPlugin()],
        **(setting.arguments | common | once),
    )


def _learner(strategy: Callable[..., StreamingLDA], about: str) -> Learner:
    return Learner(
        partial(_build, strategy=strategy),
        f"{about}, on the raw input",
        optimizers=(),
        regularized=False,
        group="class-incremental",
    )


LEARNERS = {
    "net-slda": _learner(_Discriminant, "StreamingLDA: a Gaussian for each class"),
    "net-ncm": _learner(_NearestMean, "the nearest class mean"),
}
