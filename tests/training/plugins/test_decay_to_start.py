"""DecayToStartPlugin."""

import torch
from avalanche.core import SupervisedPlugin
from under_naive import naive, parameters, stream

from avalanche_hsf.models import MLPAutoencoder
from avalanche_hsf.training import DecayToStartPlugin


class Away(SupervisedPlugin):
    """Adds 1 to every parameter in the first step of an experience; no gradient moves them."""

    def before_backward(self, strategy, **kwargs):
        strategy.loss = 0 * strategy.loss

    @torch.no_grad()
    def before_update(self, strategy, **kwargs):
        if strategy.clock.train_exp_epochs == 0:
            for p in strategy.model.parameters():
                p.add_(1.0)


def test_towards_zero_in_the_first_experience_and_towards_the_start_in_later_ones():
    model = MLPAutoencoder(3)
    plain = torch.optim.SGD(model.parameters(), lr=0.1)
    strategy = naive(
        DecayToStartPlugin(1.0, 2.0), Away(), model=model, optimizer=plain, train_epochs=2
    )
    for experience, expected in zip(
        stream()[:3],
        (lambda p: (p + 1) * 0.9**2, lambda p: p + 0.8**2, lambda p: p + 0.8**2),
        strict=True,
    ):
        before = parameters(model)
        strategy.train(experience)
        for name, p in parameters(model).items():
            torch.testing.assert_close(p, expected(before[name]))
