"""CosineRestartPlugin."""

import math

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import LRSchedulerPlugin
from torch import nn
from under_naive import naive, stream

from avalanche_hsf.training import CosineRestartPlugin


class Rates(SupervisedPlugin):
    """Learning rates and the optimizer's steps so far, at each iteration."""

    def __init__(self):
        super().__init__()
        self.rates, self.steps = [], []

    def before_update(self, strategy, **kwargs):
        groups = strategy.optimizer.param_groups
        self.rates.append([group["lr"] for group in groups])
        states = strategy.optimizer.state.values()
        self.steps.append(max((int(state.get("step", 0)) for state in states), default=0))


def by_formula(lr, warmup, epochs):
    return [
        lr * min(1, (epoch + 1) / warmup) * (1 + math.cos(math.pi * epoch / epochs)) / 2
        for epoch in range(epochs)
    ]


@pytest.mark.parametrize(
    ("asked", "epochs", "warmup"), [(20, 40, 4), (3, 40, 3), (1, 40, 1), (20, 5, 1), (20, 1, 1)]
)
def test_rates_follow_the_formula_in_each_experience_and_are_restored(asked, epochs, warmup):
    model = nn.Linear(3, 3)
    groups = [{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.02}]
    optimizer, watch = torch.optim.AdamW(groups), Rates()
    plugins = CosineRestartPlugin(asked), watch
    strategy = naive(*plugins, model=model, optimizer=optimizer, train_epochs=epochs)
    for n in (1, 2):
        strategy.train(stream(5)[n])
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.02]
    for k, lr in enumerate((0.1, 0.02)):
        rates = [rates[k] for rates in watch.rates]
        assert rates == pytest.approx(2 * by_formula(lr, warmup, epochs))
    assert watch.steps == 2 * list(range(epochs))  # its state is fresh in each experience


def test_the_state_stays_if_asked():
    watch = Rates()
    naive(CosineRestartPlugin(restart=False), watch, model=nn.Linear(3, 3), train_epochs=4).train(
        stream(5)[:2]
    )
    assert watch.steps == list(range(8))


def test_a_second_scheduler_contradicts_it():
    model = nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = LRSchedulerPlugin(torch.optim.lr_scheduler.StepLR(optimizer, 1))
    strategy = naive(CosineRestartPlugin(), scheduler, model=model, optimizer=optimizer)
    with pytest.raises(ValueError, match="LRSchedulerPlugin contradict each other: both set the"):
        strategy.train(stream(5)[0])
    assert strategy.clock.train_iterations == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match="warmup must be at least 1"):
        CosineRestartPlugin(0)
