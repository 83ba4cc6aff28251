"""Optimizers by name."""

import pytest
import torch
from torch import nn

from avalanche_hsf.training.optimizers import OPTIMIZERS, make_optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_lowers_a_loss(name):
    layer = nn.Linear(3, 3)
    optimizer = make_optimizer(layer.parameters(), {"name": name, "lr": 0.01})
    assert optimizer.param_groups[0]["lr"] == 0.01
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = layer(torch.eye(3)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_a_name_that_does_not_exist_lists_those_that_do():
    with pytest.raises(ValueError, match=r"unknown optimizer 'Adam'; choose from AdamW"):
        make_optimizer([], {"name": "Adam"})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_so_does_an_argument_that_does_not_exist(name):
    with pytest.raises(TypeError, match=rf"{name} has no argument 'learning_rate'; .*\blr\b"):
        make_optimizer(nn.Linear(3, 3).parameters(), {"name": name, "learning_rate": 0.01})
