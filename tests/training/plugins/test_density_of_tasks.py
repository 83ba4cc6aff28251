"""log p and samples of every task, after training with the presets that fit densities."""

import copy

import pytest
import torch
from avalanche.benchmarks import split_online_stream, with_task_labels
from avalanche.core import SupervisedPlugin
from under_naive import naive, small, stream

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.models import HypernetSDEFlow
from avalanche_hsf.training import DetachedLikelihoodPlugin, HSFStrategy, get_preset


def points(experience):
    return torch.stack([item[0] for item in experience.dataset])


@pytest.fixture(
    scope="module", params=["isolated", pytest.param("compact", marks=pytest.mark.slow)]
)
def trained(request):
    experiences = SyntheticManifolds().train_stream[:3]
    torch.manual_seed(0)
    strategy = HSFStrategy.from_preset(
        request.param, input_dim=3, seed=0, train_epochs=100, evaluator=None
    )
    for experience in experiences:
        strategy.train(experience)
    dense = [points(experience) for experience in SyntheticManifolds(20_000).train_stream[:3]]
    return strategy.model.eval(), [points(experience) for experience in experiences], dense


def test_samples_of_each_task_lie_on_its_curve(trained):
    model, _, dense = trained
    for task, curve in enumerate(dense):
        drawn = model.sample(500, task, generator=torch.Generator().manual_seed(0))
        assert torch.cdist(drawn, curve).amin(dim=1).mean() < 0.02, task
        # And all over it: each point of the curve has one near.
        assert torch.cdist(curve[::100], drawn).amin(dim=1).mean() < 0.05, task


def test_log_p_of_its_own_data_is_that_of_no_other_task(trained):
    model, data, _ = trained
    with torch.no_grad():
        log_p = torch.tensor([[model.log_prob(x, t).mean() for x in data] for t in range(3)])
    own = log_p.diagonal()
    assert (own > 40).all()
    assert (own.unsqueeze(1) > log_p + 100).sum() == 6  # of a task's density, and of its data
    assert (own.unsqueeze(0) > log_p + 100).sum() == 6


@pytest.mark.parametrize("kind", ["isolated", "delta"])
def test_a_mixture_changes_nothing_that_is_trained(kind):
    states = []
    for n_vectors in (0, 120):
        torch.manual_seed(0)
        model = small(kind)
        strategy = naive(DetachedLikelihoodPlugin(n_vectors=n_vectors), model=model, train_epochs=3)
        for experience in stream()[:2]:
            strategy.train(experience)
        assert model.density.labels == ([] if n_vectors == 0 else [0, 1])
        states.append(model.state_dict())
    without, withal = states
    added = {name for name in withal if name not in without}
    assert added and all(name.startswith("density.of_task.") for name in added)
    for name, value in without.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, withal[name]), name


def test_a_task_that_is_trained_again_has_its_flow_until_it_is_done():
    seen = []

    class Watch(SupervisedPlugin):
        def after_training_iteration(self, strategy, **kwargs):
            seen.append(strategy.model.density.labels)

    model = small("isolated")
    strategy = naive(DetachedLikelihoodPlugin(), Watch(), model=model)
    first, second = stream()[:2]
    for experience in (first, second, first):
        strategy.train(experience)
    assert seen == [[], [0], [1]]
    assert sorted(model.density.labels) == [0, 1]


def test_parts_of_an_online_experience_are_too_short_for_a_mixture():
    model = small("isolated")
    strategy = naive(DetachedLikelihoodPlugin(), model=model)
    for part in with_task_labels(split_online_stream(stream()[:1], experience_size=10)):
        strategy.train(part)
    assert model.density.labels == [] and model.density.by_flow == {0}


def test_an_attached_likelihood_is_a_density_and_none_is_none():
    x = torch.randn(5, 3)
    strategy = HSFStrategy.from_preset("paper", input_dim=3, train_epochs=1, evaluator=None)
    strategy.train(stream()[0])
    model = strategy.model
    assert model.density.labels == [] and model.log_prob(x, 0).shape == (5,)
    loaded = HypernetSDEFlow(3, **get_preset("paper").hsf)
    loaded.load_state_dict(copy.deepcopy(model.state_dict()))
    assert loaded.sample(5, 0).shape == (5, 3)
    strategy = HSFStrategy.from_preset("paper", input_dim=3, beta=0, train_epochs=1, evaluator=None)
    strategy.train(stream()[0])
    with pytest.raises(ValueError, match="the density of task 0 was never fitted"):
        strategy.model.sample(5, 0)
