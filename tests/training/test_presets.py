"""Presets, and the defaults of the model, which are those of one of them."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.models import (
    GENERATED,
    HYPERNETWORKS,
    DeltaHyperNetwork,
    HypernetSDEFlow,
    TaskGroups,
)
from avalanche_hsf.training import (
    DEFAULT,
    PRESETS,
    DetachedLikelihoodPlugin,
    HSFStrategy,
    LatentReplayPlugin,
    OutputRegularizerPlugin,
    SeparationPlugin,
    get_preset,
)
from avalanche_hsf.training import plugins as every_plugin


def benchmark():
    return SyntheticManifolds(20)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_two_tasks(name):
    strategy = HSFStrategy.from_preset(name, input_dim=3, seed=0, train_epochs=2, evaluator=None)
    before = torch.cat([p.detach().flatten() for p in strategy.model.parameters()])
    strategy.train(benchmark().train_stream[:2])
    assert strategy.model.hypernetwork.tasks == [0, 1]
    assert torch.isfinite(strategy.model.eval()(torch.randn(9, 3), torch.arange(9) % 2)).all()
    assert strategy.train_mb_size == get_preset(name).train_mb_size
    assert not any(torch.isnan(p).any() for p in strategy.model.parameters())
    after = [p.detach().flatten() for p in strategy.model.parameters()]
    after = torch.cat([torch.zeros(0), *after])
    assert len(after) != len(before) or not torch.equal(after, before)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_names_what_there_is(name):
    preset = get_preset(name)
    assert preset.source
    model = inspect.signature(HypernetSDEFlow).parameters
    assert set(preset.hsf) <= set(model)
    assert preset.hsf["generated"] in GENERATED
    assert preset.hypernetwork["hypernetwork"] in HYPERNETWORKS
    assert {*preset.protections, *preset.hsf_protections} <= set(every_plugin.__all__)


def test_the_defaults_of_the_model_are_those_of_the_default_preset():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(HypernetSDEFlow).parameters.items()
    }
    for name, value in get_preset(DEFAULT).hsf.items():
        assert defaults[name] == (value or None), name
    # Nor does anything differ that the preset does not name.
    torch.manual_seed(0)
    plain = HypernetSDEFlow(3, seed=0)
    torch.manual_seed(0)
    of_preset = HypernetSDEFlow(3, seed=0, **get_preset(DEFAULT).hsf)
    for model in (plain, of_preset):
        model.hypernetwork.add_task(0)
    x = torch.randn(5, 3)
    assert torch.equal(plain(x, 0), of_preset(x, 0))


def test_the_default_preset_is_what_a_strategy_has_without_a_name():
    preset = get_preset(DEFAULT)
    strategy = HSFStrategy.from_preset(input_dim=3, evaluator=None, gamma=None)
    kinds = {type(p).__name__ for p in strategy.plugins} & set(every_plugin.__all__)
    protections = {*preset.protections, *preset.hsf_protections}
    assert kinds == {*protections, "InMemoryLoadingPlugin"}
    assert next(iter(preset.all_protections)) == "DetachedLikelihoodPlugin"
    assert strategy.train_mb_size == preset.train_mb_size
    assert strategy.train_epochs == preset.train_epochs
    assert (strategy.gamma, strategy.delta) == (preset.gamma, preset.delta)


def spied(plugin, trained, terms):
    """Notes what a plugin adds to the loss in each iteration, and what its gradient reaches."""
    add = plugin.before_backward

    def before_backward(strategy, **kwargs):
        before = strategy.loss
        add(strategy, **kwargs)
        terms.append(gradient_of(strategy.loss - before, trained(strategy.model)))

    plugin.before_backward = before_backward


def gradient_of(term, parameters):
    reached = set()
    if term.requires_grad:
        names, tensors = zip(*parameters.items(), strict=True)
        gradients = torch.autograd.grad(term, tensors, retain_graph=True, allow_unused=True)
        reached = {
            name
            for name, g in zip(names, gradients, strict=True)
            if g is not None and g.abs().sum() > 0
        }
    return SimpleNamespace(value=float(term.detach()), reached=reached)


def test_all_four_terms_of_the_repaired_loss_are_active_in_the_second_task():
    terms = {
        kind: []
        for kind in (
            DetachedLikelihoodPlugin,
            LatentReplayPlugin,
            SeparationPlugin,
            OutputRegularizerPlugin,
        )
    }
    recon = []

    class Criterion(nn.MSELoss):
        def forward(self, x, y):
            loss = super().forward(x, y)
            if strategy.is_training and loss.requires_grad:
                recon.append(gradient_of(loss, trained(strategy.model)))
            return loss

    def trained(model):
        return {name: p for name, p in model.named_parameters() if p.requires_grad}

    strategy = HSFStrategy.from_preset(
        "repaired", input_dim=3, seed=0, train_epochs=2, evaluator=None, criterion=Criterion()
    )
    for plugin in strategy.plugins:
        if type(plugin) in terms:
            spied(plugin, trained, terms[type(plugin)])
    strategy.train(benchmark().train_stream[0])
    for noted in (recon, *terms.values()):
        noted.clear()
    strategy.train(benchmark().train_stream[1])

    embedding = "hypernetwork.task_embedding.embeddings.1"
    generators = {f"hypernetwork.generators.{n}." for n in range(6)}
    assert recon[0].value > 0
    assert {name[: len("hypernetwork.generators.0.")] for name in recon[0].reached} >= generators
    nll, replay, sep, held = (noted[0] for noted in terms.values())
    assert nll.value != 0 and nll.reached and all(n.startswith("flow.") for n in nll.reached)
    assert replay.value > 0
    # Of the three layers written, the decoder's; the embedding of the old task is frozen.
    assert {name[:25] for name in replay.reached} == {
        f"hypernetwork.generators.{n}" for n in (4, 5)
    }
    assert sep.value > 0 and sep.reached == {embedding}
    assert held.value == 0  # nothing has moved yet
    held = terms[OutputRegularizerPlugin][1]
    assert held.value > 0 and embedding not in held.reached and held.reached


@pytest.mark.parametrize("name", PRESETS)
def test_a_step_writes_the_weights_and_groups_the_labels_once(name, monkeypatch):
    strategy = HSFStrategy.from_preset(
        name, input_dim=3, seed=0, gamma=0, train_epochs=1, evaluator=None
    )
    strategy.train(benchmark().train_stream[0])
    calls = []
    from_labels = TaskGroups.from_labels
    strategy.model.hypernetwork.register_forward_hook(lambda *_: calls.append("written"))
    monkeypatch.setattr(
        TaskGroups, "from_labels", lambda *args: calls.append("grouped") or from_labels(*args)
    )

    class Step(SupervisedPlugin):
        def before_forward(self, strategy):
            calls.clear()

        def after_backward(self, strategy):
            self.calls = sorted(calls)

    step = Step()
    strategy.plugins.append(step)
    strategy.train(benchmark().train_stream[1])
    # The regularizer writes the old tasks' weights besides.
    others = sum(isinstance(plugin, OutputRegularizerPlugin) for plugin in strategy.plugins)
    assert step.calls == ["grouped"] + (1 + others) * ["written"]


@pytest.mark.parametrize("name", ["isolated", "compact"])
def test_the_likelihood_trains_the_flow_of_each_task(name):
    strategy = HSFStrategy.from_preset(name, input_dim=3, train_epochs=1, evaluator=None)
    terms = []
    (plugin,) = (p for p in strategy.plugins if isinstance(p, DetachedLikelihoodPlugin))
    spied(plugin, lambda model: dict(model.named_parameters()), terms)
    strategy.train(benchmark().train_stream[0])
    assert terms[0].value != 0
    assert terms[0].reached and all("flow/" in name for name in terms[0].reached)


def test_a_preset_that_does_not_exist_lists_those_that_do():
    message = "unknown preset 'papr'; choose from compact, isolated, paper, paper-early, repaired"
    with pytest.raises(ValueError, match=message):
        get_preset("papr")
    with pytest.raises(ValueError, match=message):
        HSFStrategy.from_preset("papr", input_dim=3)
    assert DEFAULT in PRESETS


def test_another_hypernetwork_or_optimizer_leaves_the_presets_own_options_behind():
    strategy = HSFStrategy.from_preset(
        "paper",
        input_dim=3,
        model_options={"hypernetwork": "delta"},
        optimizer_options={"name": "SOAP", "lr": 0.01},
        embedding_table=False,
    )
    assert isinstance(strategy.model.hypernetwork, DeltaHyperNetwork)
    assert type(strategy.optimizer).__name__ == "SOAP"
    assert strategy.optimizer.defaults["lr"] == 0.01


def test_an_option_of_the_sde_leaves_the_others_as_the_preset_says():
    strategy = HSFStrategy.from_preset(
        "compact", input_dim=3, model_options={"sde_options": {"fast_tanh": True}}
    )
    sde = strategy.model.encoder_sde
    assert sde.fast_tanh
    assert sde.diffusion_scale == PRESETS["compact"].model["sde_options"]["diffusion_scale"]
