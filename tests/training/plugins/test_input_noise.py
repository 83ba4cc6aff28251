"""InputNoisePlugin."""

import torch
from avalanche.core import SupervisedPlugin
from under_naive import naive, stream

from avalanche_hsf.models import MLPAutoencoder
from avalanche_hsf.training import HSFStrategy, InputNoisePlugin


class Batches(SupervisedPlugin):
    """Notes inputs and targets of each forward pass; after the plugin that changes them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def after_forward(self, strategy, **kwargs):
        self.seen.append((strategy.mb_x.clone(), strategy.mb_y.clone()))

    after_eval_forward = after_forward


def check(strategy, batches):
    experience = stream(200)[0]
    clean = torch.stack([item[0] for item in experience.dataset])
    strategy.train(experience, shuffle=False)
    strategy.eval(experience)
    (x, y), (x_eval, y_eval) = batches.seen
    assert torch.equal(y, clean)
    assert abs(float((x - clean).std()) - 0.3) < 0.03
    assert torch.equal(x_eval, clean)
    assert torch.equal(y_eval, clean)


def test_training_inputs_are_noisy_and_nothing_else_under_naive():
    batches = Batches()
    plugins = [InputNoisePlugin(0.3, seed=0), batches]
    check(naive(*plugins, model=MLPAutoencoder(3), train_mb_size=200), batches)


def test_the_reconstruction_of_an_hsf_strategy_is_that_of_clean_inputs():
    batches = Batches()
    strategy = HSFStrategy.from_preset(
        input_dim=3,
        seed=0,
        train_epochs=1,
        evaluator=None,
        plugins=[InputNoisePlugin(0.3, seed=0), batches],
    )
    check(strategy, batches)
