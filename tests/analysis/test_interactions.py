"""Shapley values and interactions, against shapiq."""

import numpy as np
import pytest
import shapiq
import torch
from torch import nn

from avalanche_hsf.analysis import attribute_forgetting


class Parts(nn.Module):
    """Its output is any function of which of its numbers are 1."""

    def __init__(self, n, value):
        super().__init__()
        for k in range(n):
            self.register_parameter(f"c{k}", nn.Parameter(torch.tensor([float(value)])))


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_they_are_those_of_shapiq(n):
    table = np.random.default_rng(n).normal(size=2**n)

    def of(moved):
        return float(table[sum(2**k for k in range(n) if moved[k])])

    found = attribute_forgetting(
        Parts(n, 0),
        Parts(n, 1),
        lambda model: of([p.item() for p in model.parameters()]),
        components=[f"c{k}" for k in range(n)],
    )

    def game(coalitions):
        return np.array([of(row) - table[0] for row in np.atleast_2d(coalitions)])

    exact = shapiq.ExactComputer(game, n_players=n)
    values, pairs = exact("SV", order=1), exact("SII", order=2)
    for k in range(n):
        assert found.shapley[f"c{k}"] == pytest.approx(values[(k,)], abs=1e-9)
        for m in range(k):
            assert found.interactions[f"c{k}"][f"c{m}"] == pytest.approx(pairs[(m, k)], abs=1e-9)


def test_two_that_cancel_are_told():
    """Either alone does harm, both together none: the index is minus what each does, and more."""

    def error(model):
        a, b = (float(p.detach()) for p in model.parameters())
        return (a - b) ** 2

    found = attribute_forgetting(Parts(2, 0), Parts(2, 1), error, components=["c0", "c1"])
    assert found.forgetting == 0
    assert found.shapley == {"c0": 0.0, "c1": 0.0}
    assert found.interactions["c0"]["c1"] == -2.0
