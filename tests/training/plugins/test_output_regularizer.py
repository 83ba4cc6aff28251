"""OutputRegularizerPlugin."""

import pytest
import torch
from avalanche.core import SupervisedPlugin
from under_naive import Added, naive, parameters, small, stream, with_momentum

from avalanche_hsf.training import FreezeEmbeddingsPlugin, OutputRegularizerPlugin, make_optimizer


def outputs(model, task):
    with torch.no_grad():
        return torch.cat([w.flatten() for w in model.hypernetwork([task]).values()])


class Moved(SupervisedPlugin):
    """How far, squared, the outputs of each old task have moved since the experience began."""

    def __init__(self):
        super().__init__()
        self.start, self.values = {}, []

    def before_training_exp(self, strategy, **kwargs):
        old = range(strategy.experience.task_label)
        self.start = {task: outputs(strategy.model, task) for task in old}

    def before_backward(self, strategy, **kwargs):
        squared = [
            float((outputs(strategy.model, task) - start).square().sum())
            for task, start in self.start.items()
        ]
        self.values.append(squared)


def test_it_adds_the_mean_squared_change_of_all_old_outputs():
    added, moved = Added(), Moved()
    model = small()
    naive(OutputRegularizerPlugin(5.0), added, moved, model=model, train_epochs=4).train(
        stream()[:3]
    )
    assert added.values[:5] == [0.0] * 5  # no old task; then nothing has moved yet
    for value, squared in zip(added.values[5:], moved.values[5:], strict=True):
        expected = 5 * sum(squared) / len(squared)
        assert abs(value - expected) < 1e-5 * max(1.0, expected)
    assert all(value > 0 for value in added.values[9:12])


def test_one_old_task_at_a_time():
    added, moved = Added(), Moved()
    plugin = OutputRegularizerPlugin(5.0, n_tasks=1, seed=0)
    naive(plugin, added, moved, train_epochs=12).train(stream()[:3])
    drawn = set()
    for value, squared in zip(added.values[25:], moved.values[25:], strict=True):
        each = [5 * s for s in squared]
        closest = min((0, 1), key=lambda k: abs(value - each[k]))
        assert abs(value - each[closest]) < 1e-5 * max(1.0, value)
        drawn.add(closest)
    assert drawn == {0, 1}


@pytest.mark.parametrize("optimizer", ["AdamW", "SOAP"])
def test_looking_ahead_takes_no_step(optimizer):
    """With no weight to speak of it changes nothing, whatever the optimizer remembers."""
    ends = []
    for plugins in ([], [OutputRegularizerPlugin(1e-30, lookahead=True)]):
        torch.manual_seed(0)
        model = small(hypernetwork_options={"embedding_dim": 2})
        made = make_optimizer(model.parameters(), {"name": optimizer, "lr": 1e-2})
        # Else the term's gradient, however small, would let weight decay at old embeddings.
        plugins = [FreezeEmbeddingsPlugin(), *plugins]
        naive(*plugins, model=model, optimizer=made, train_epochs=3).train(stream()[:3])
        ends.append(parameters(model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_looking_ahead_adds_where_the_next_step_leads():
    def trained(*plugins):
        torch.manual_seed(0)
        model = small()
        strategy = naive(*plugins, model=model, optimizer=with_momentum(model))
        strategy.train(stream()[0])
        before = outputs(model, 0)
        strategy.train(stream()[1])  # one step
        return (outputs(model, 0) - before).square().sum()

    added = Added()
    step_alone = float(trained())
    trained(OutputRegularizerPlugin(5.0, lookahead=True), added)
    assert added.values[1] == pytest.approx(5 * step_alone, rel=1e-4) and step_alone > 0


def test_old_outputs_move_without_it_and_hardly_under_a_huge_weight():
    moves = {}
    for weight in (0.0, 1e4):
        torch.manual_seed(0)
        model = small()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        plugin = OutputRegularizerPlugin(weight)
        strategy = naive(plugin, model=model, optimizer=optimizer, train_epochs=30)
        strategy.train(stream()[0])
        before = outputs(model, 0)
        strategy.train(stream()[1])
        moves[weight] = float((outputs(model, 0) - before).norm() / before.norm())
    assert moves[0.0] > 0.1
    assert moves[1e4] < 0.01


def test_a_task_that_comes_back_is_free():
    added = Added()
    strategy = naive(OutputRegularizerPlugin(), added, train_epochs=3)
    strategy.train(stream()[0])
    strategy.train(stream()[0])
    assert added.values == [0.0] * 6


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"weight": -1.0}, ValueError),
        ({"n_tasks": 0}, ValueError),
        ({"n_tasks": 1.5}, TypeError),
        ({"seed": -1}, ValueError),
    ],
)
def test_bad_arguments(bad, error):
    with pytest.raises(error):
        OutputRegularizerPlugin(**bad)
