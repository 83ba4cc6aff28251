"""DetachedLikelihoodPlugin."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from under_naive import Added, WithoutReconstruction, naive, small, stream

from avalanche_hsf.benchmarks import reconstruction_benchmark
from avalanche_hsf.training import (
    DetachedLikelihoodPlugin,
    HSFStrategy,
    negative_log_likelihood,
)


@pytest.mark.parametrize("kind", ["paper", "isolated", "delta"])
def test_its_gradient_reaches_the_flow_and_nothing_else(kind):
    watch = WithoutReconstruction()
    model = small(kind)
    naive(watch, DetachedLikelihoodPlugin(), model=model, train_epochs=2).train(stream()[0])
    flow = {"paper": "flow.", "isolated": "hypernetwork.drafts.of.flow/"}
    flow["delta"] = "hypernetwork.trunk.flow/"
    of_flow = {name for name in watch.reached[0] if name.startswith(flow[kind])}
    assert of_flow
    assert watch.reached == [of_flow, of_flow]


def test_it_adds_the_nll_of_the_whitened_latents():
    watch = Added()
    model = small()
    added = []

    class ByHand(SupervisedPlugin):
        def before_backward(self, strategy, **kwargs):
            with torch.no_grad():
                z0 = strategy.model.encode(strategy.mb_x, 0)
                mean, std = z0.mean(dim=0), z0.std(dim=0, correction=0)
                u, log_det = strategy.model.flow((z0 - mean) / std)
                nll = negative_log_likelihood(u, log_det - std.log().sum())
                added.append(0.3 * float(nll))

    plugins = ByHand(), DetachedLikelihoodPlugin(0.3, noise=0.0), watch
    naive(*plugins, model=model, train_epochs=3).train(stream()[0])
    for ours, by_hand in zip(watch.values, added, strict=True):
        assert math.isclose(ours, by_hand, rel_tol=1e-4)


@pytest.mark.parametrize("train_mb_size", [100, 7])
def test_the_statistics_noted_are_those_of_the_latents(train_mb_size):
    # Two tasks in one experience, one in the next; sizes of minibatches do not matter in the end.
    x = torch.randn(24, 3)
    benchmark = reconstruction_benchmark([x, x[:9]], task_labels=[[5, 3] * 12, 8])
    model = small()
    strategy = naive(DetachedLikelihoodPlugin(), model=model, train_mb_size=train_mb_size)
    for experience, rows in zip(
        benchmark.train_stream, ({5: x[::2], 3: x[1::2]}, {8: x[:9]}), strict=True
    ):
        strategy.train(experience)
        for label, own in rows.items():
            z0 = model.encode(own, label).detach()
            noted = model.whitening.of_task[label]
            assert torch.allclose(noted.mean, z0.mean(dim=0), atol=1e-6)
            assert torch.allclose(noted.std, z0.std(dim=0, correction=0), atol=1e-6)
    assert sorted(model.whitening.labels) == [3, 5, 8]


def test_the_blur_is_in_units_of_each_tasks_spread():
    # Latents at two scales, as two tasks of one batch.
    scales = torch.tensor([1.0, 100.0]).repeat(4000).unsqueeze(1)
    labels = torch.tensor([0, 1]).repeat(4000)
    z0 = scales * torch.randn(8000, 4)
    model, blurred = small(), []
    model.hypernetwork.begin([0, 1])

    def run(block, written, whitened):
        blurred.append(whitened)
        return whitened, whitened.sum(dim=1)

    model.run = run
    strategy = SimpleNamespace(
        model=model,
        mb_x=None,
        mb_task_id=labels,
        mb_latents=SimpleNamespace(z0=z0, written=model.write(labels, len(labels))),
        loss=torch.zeros(()),
    )
    DetachedLikelihoodPlugin(noise=0.05).before_backward(strategy)
    blur = blurred[0] - model.whitening(z0, strategy.mb_latents.written.groups)[0]
    for task in (0, 1):
        assert abs(float(blur[labels == task].std()) - 0.05) < 0.002


def test_in_the_strategy_it_uses_the_latents_of_the_pass():
    strategy = HSFStrategy.from_preset("isolated", input_dim=3, train_epochs=2, evaluator=None)
    encode, calls = strategy.model.encode, []

    def counted(x, task_labels):
        calls.append(len(x))
        return encode(x, task_labels)

    strategy.model.encode = counted
    strategy.train(stream()[0])
    assert calls == [20]  # the statistics after the experience
    assert strategy.model.whitening.labels == [0]


def test_a_beta_above_zero_contradicts_it():
    strategy = HSFStrategy.from_preset("isolated", input_dim=3, beta=0.5, evaluator=None)
    with pytest.raises(ValueError, match="a beta above 0 contradict each other"):
        strategy.train(stream()[0])
    strategy = HSFStrategy.from_preset("paper", input_dim=3, train_epochs=1, evaluator=None)
    strategy.plugins.append(DetachedLikelihoodPlugin())
    with pytest.raises(ValueError, match="a beta above 0 contradict each other"):
        strategy.train(stream()[0])
    assert strategy.clock.train_iterations == 0


@pytest.mark.parametrize("bad", [{"weight": -1.0}, {"noise": -0.1}, {"weight": math.nan}])
def test_bad_arguments(bad):
    with pytest.raises(ValueError, match="DetachedLikelihoodPlugin must be a finite number"):
        DetachedLikelihoodPlugin(**bad)


def test_a_frozen_flow_is_left_alone():
    added = Added()
    model = small("delta", hypernetwork_options={"adapted": ("encoder.", "decoder.")})
    strategy = naive(DetachedLikelihoodPlugin(), added, model=model, train_epochs=3)
    strategy.train(stream()[0])
    statistics = copy.deepcopy(strategy.model.whitening.state_dict())
    strategy.train(stream()[1])
    assert all(value != 0 for value in added.values[:3])
    assert added.values[3:] == [0.0] * 3
    now = strategy.model.whitening.state_dict()
    assert now.keys() == statistics.keys() and strategy.model.whitening.labels == [0]
    for name in ("of_task.0.mean", "of_task.0.std"):
        assert torch.equal(now[name], statistics[name])
