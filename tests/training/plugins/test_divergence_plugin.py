"""DivergencePlugin beside a model's own guard."""

import pytest
from avalanche.core import SupervisedPlugin
from under_naive import naive, small, stream

from avalanche_hsf.training import DivergencePlugin


class Interrupts(SupervisedPlugin):
    """Stops a run in the middle of a step."""

    def after_forward(self, strategy, **kwargs):
        raise KeyboardInterrupt


def test_the_models_own_guard_is_replaced_for_the_length_of_a_step():
    model = small("isolated")
    seen = []

    class Sees(SupervisedPlugin):
        def after_forward(self, strategy, **kwargs):
            seen.append(model.guard.replaced)

        def after_update(self, strategy, **kwargs):
            seen.append(model.guard.replaced)

    naive(DivergencePlugin(), Sees(), model=model).train(stream()[0])
    assert seen == [True, False]


def test_a_guard_is_back_when_a_run_was_interrupted():
    model = small("isolated")
    plugin = DivergencePlugin()
    strategy = naive(plugin, Interrupts(), model=model)
    with pytest.raises(KeyboardInterrupt):
        strategy.train(stream()[0])
    assert model.guard.replaced
    plugin.before_training_exp(strategy)
    assert not model.guard.replaced


def test_two_of_them_do_no_harm():
    strategy = naive(DivergencePlugin(), DivergencePlugin(), model=small("delta"))
    strategy.train(stream()[0])
    assert strategy.clock.train_iterations == 1
