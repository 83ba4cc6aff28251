"""Whether the features still tell the classes of an old task apart."""

from __future__ import annotations

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from avalanche_hsf.checks import check_int


def linear_probe(
    features: Tensor, y: Tensor, *, n_folds: int = 5, penalty: float = 1.0, seed: int = 0
) -> float:
    """Accuracy, 0 to 1, of a linear classifier that is trained on features of a task's samples.

    Each sample is classified by one that was trained on the other folds. If this stays while the
    model's own accuracy falls, the features are intact and the head has moved away from them.

    Source: Davari et al. 2022, https://arxiv.org/abs/2203.13381.

    Args:
        features: `n x *`, of a layer, see `outputs_of`; standardized by those trained on.
        y: Classes, `n` integers.
        n_folds: At least 2.
        penalty: Of the squared weights, scikit-learn's 1 / C.
        seed: Of the folds.

    Raises:
        ValueError: Fewer samples than folds, or only one class.
    """
    check_int("n_folds", n_folds, at_least=2)
    if len(y) != len(features) or len(y) < n_folds:
        raise ValueError(
            f"features and y must be of the same samples, at least {n_folds}, got "
            f"{len(features)} and {len(y)}"
        )
    if len(y.unique()) < 2:
        raise ValueError("all samples are of one class, which any features tell apart")
    X, labels = features.detach().flatten(1).double().cpu().numpy(), y.cpu().numpy()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed)).numpy()
    right = 0
    for fold in range(n_folds):
        held = order[fold::n_folds]
        kept = [k for k in order if k not in set(held.tolist())]
        if len(set(labels[kept].tolist())) < 2:
            right += int((labels[held] == labels[kept][0]).sum())
            continue
        scaler = StandardScaler().fit(X[kept])
        probe = LogisticRegression(C=1 / penalty, max_iter=500)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a probe
            probe.fit(scaler.transform(X[kept]), labels[kept])
        right += int((probe.predict(scaler.transform(X[held])) == labels[held]).sum())
    return right / len(labels)
