"""WarmStartPlugin."""

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import MultiTaskModule
from under_naive import naive, small, stream

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.models import DeltaHyperNetwork, IsolatedHyperNetwork
from avalanche_hsf.training import WarmStartPlugin


class OneVector(MultiTaskModule):
    """Answers every input of a task with the same vector, the weights of that task."""

    def __init__(self, kind):
        super().__init__()
        self.hypernetwork = kind({"vector": torch.zeros(3)})

    def adaptation(self, experience):
        pass

    def forward(self, x, task_labels):
        labels = task_labels.tolist()
        return torch.cat([self.hypernetwork([label])["vector"] for label in labels])


class Start(SupervisedPlugin):
    """The weights of each task when its training begins."""

    def __init__(self):
        super().__init__()
        self.of = {}

    def before_training_exp(self, strategy, **kwargs):
        for label in strategy.experience.task_labels:
            weights = strategy.model.hypernetwork([label])
            self.of[label] = torch.cat([w.detach().flatten() for w in weights.values()])


def began(plugin, constants, kind=IsolatedHyperNetwork):
    """What each task starts with, when task t learns its own constant."""
    start = Start()
    model = OneVector(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    strategy = naive(
        plugin, start, model=model, optimizer=optimizer, train_epochs=20, train_mb_size=4
    )
    benchmark = reconstruction_benchmark(
        [torch.full((4, 3), c) for c in constants.values()], task_labels=list(constants)
    )
    strategy.train(benchmark.train_stream)
    return {label: float(weights.mean()) for label, weights in start.of.items()}


@pytest.mark.parametrize("kind", [IsolatedHyperNetwork, DeltaHyperNetwork])
def test_it_picks_the_right_one_of_planted_tasks(kind):
    # The new ones are closest to 3, 7 and 0, not to the last.
    constants = {0: 1.0, 3: -4.0, 7: 9.0, 2: -3.0, 5: 8.0, 6: 0.9}
    chosen = began(WarmStartPlugin(), constants, kind)
    assert chosen == pytest.approx({0: 0, 3: 1, 7: 1, 2: -4, 5: 9, 6: 1}, abs=0.05)


def test_only_so_many_finished_tasks_are_tried():
    constants = {0: 1.0, 1: -4.0, 2: 9.0, 3: -8.0, 4: 1.1, 5: 8.8}
    last = began(WarmStartPlugin(n_tasks=1), constants)
    assert last == pytest.approx({0: 0, 1: 1, 2: -4, 3: 9, 4: -8, 5: 1.1}, abs=0.05)
    # Of five tasks the second and the last, of four the second and the fourth.
    two = began(WarmStartPlugin(n_tasks=2), constants)
    assert two[5] == pytest.approx(1.1, abs=0.05) and two[4] == pytest.approx(-4, abs=0.05)


def test_a_task_that_comes_back_goes_on_from_its_own_weights():
    start = Start()
    model = OneVector(IsolatedHyperNetwork)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    strategy = naive(
        WarmStartPlugin(), start, model=model, optimizer=optimizer, train_epochs=20, train_mb_size=4
    )
    data = [torch.full((4, 3), c) for c in (1.0, 5.0, 5.1)]
    strategy.train(reconstruction_benchmark(data, task_labels=[0, 1, 0]).train_stream)
    assert float(start.of[0].mean()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", ["paper", "isolated", "delta"])
def test_under_the_whole_model(kind):
    start, model = Start(), small(kind)
    strategy = naive(WarmStartPlugin(n_samples=5), start, model=model)
    strategy.train(stream()[:3])
    weights = model.hypernetwork.eval()([0])
    zero = torch.cat([w.detach().flatten() for w in weights.values()])
    assert torch.isfinite(start.of[2]).all() and start.of[2].shape == zero.shape


def test_only_the_samples_asked_for_are_tried():
    tried = []
    model = small()
    forward = model.forward
    strategy = naive(WarmStartPlugin(n_samples=6), model=model)
    strategy.train(stream()[:2])

    def watched(x, task_labels):
        if not model.training:
            tried.append(len(x))
        return forward(x, task_labels)

    model.forward = watched
    strategy.train(stream()[2])
    assert tried == [6, 6]  # two old tasks


def test_what_it_chooses_does_not_depend_on_what_was_evaluated_before():
    # Two tasks that are nearly equal, under strong noise: which looks better is up to the draws.
    starts = []
    for n_evaluations in range(6):
        torch.manual_seed(0)
        start, model = Start(), small("isolated", sde_options={})
        strategy = naive(WarmStartPlugin(), start, model=model)
        strategy.train(stream()[:2])
        model.eval()
        for _ in range(n_evaluations):
            model(torch.randn(3, 3), 0)
        torch.manual_seed(0)
        strategy.train(stream()[2])
        starts.append(start.of[2])
    assert all(torch.equal(start, starts[0]) for start in starts)


def test_bad_arguments():
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        WarmStartPlugin(0)
