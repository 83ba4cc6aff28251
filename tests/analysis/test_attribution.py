"""Attribution of forgetting: a planted culprit is found, shares sum up, growth is no obstacle."""

import copy
import math

import pytest
import torch
from avalanche.models import IncrementalClassifier, SimpleMLP, as_multitask
from avalanche.training import EWC, Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.analysis import (
    ModelRecorderPlugin,
    attribute_forgetting,
    attribute_run,
    error_on,
    find_components,
)
from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds
from avalanche_hsf.models import HypernetSDEFlow, TaskConditional
from avalanche_hsf.training import HSFStrategy

DIGITS = SplitDigits(5, seed=0)


def mlp():
    layers = {"first": nn.Linear(64, 16), "second": nn.Linear(16, 16), "last": nn.Linear(16, 10)}
    return nn.Sequential(
        nn.Flatten(), *[module for layer in layers.values() for module in (layer, nn.ReLU())][:-1]
    )


def recorded(model, experiences, *, kind=Naive, freeze=None, **options):
    """The recorder of a run; after the first experience all is frozen but what is named."""
    recorder = ModelRecorderPlugin()
    strategy = kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=3,
        plugins=[recorder],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )
    for i, experience in enumerate(experiences):
        strategy.train(experience)
        if i == 0 and freeze is not None:
            for name, p in model.named_parameters():
                p.requires_grad_(name.startswith(freeze))
    return recorder


@pytest.mark.parametrize("culprit", ["1", "3", "5"])
def test_a_planted_culprit_has_all_of_the_forgetting(culprit):
    recorder = recorded(mlp(), DIGITS.train_stream[:3], freeze=f"{culprit}.")
    found = attribute_run(recorder, DIGITS.test_stream[:3])[0]
    assert found.forgetting > 0.5
    for shares in (found.alone, found.recovered, found.shapley):
        assert set(shares) == {"1", "3", "5"}
        for name, share in shares.items():
            expected = found.forgetting if name == culprit else 0.0
            assert share == pytest.approx(expected, abs=0.01 * found.forgetting)


def test_shapley_values_sum_to_the_forgetting_and_sampling_agrees_with_all_orders():
    recorder = recorded(mlp(), DIGITS.train_stream[:3])
    error = error_on(DIGITS.test_stream[0])
    components = {"1": ["1"], "3": ["3"], "last weight": ["5.weight"], "last bias": ["5.bias"]}
    exact, sampled = (
        attribute_forgetting(
            recorder.model_after(0),
            recorder.model_after(-1),
            error,
            components=components,
            exact_up_to=k,
            n_orders=40,
        )
        for k in (4, 0)
    )
    assert exact.n_evaluations == 16
    assert all(e == 0 for e in exact.shapley_error.values())
    assert exact.forgetting == pytest.approx(
        error(recorder.model_after(-1)) - error(recorder.model_after(0))
    )
    for found in (exact, sampled):
        assert sum(found.shapley.values()) == pytest.approx(found.forgetting)
    for name, value in exact.shapley.items():
        assert sampled.shapley_error[name] > 0
        assert abs(sampled.shapley[name] - value) < 3 * sampled.shapley_error[name]


def test_two_components_that_only_harm_together_share_the_blame():
    """v = a AND b: neither alone causes anything, either recovers all; half each."""
    early = nn.ParameterDict({name: nn.Parameter(torch.zeros(1)) for name in "abc"})
    late = copy.deepcopy(early)
    for p in late.values():
        p.data.fill_(1.0)
    found = attribute_forgetting(
        early, late, lambda m: (m["a"] * m["b"]).item(), components=list("abc")
    )
    assert found.alone == {"a": 0, "b": 0, "c": 0}
    assert found.recovered == {"a": 1, "b": 1, "c": 0}
    assert found.shapley == pytest.approx({"a": 0.5, "b": 0.5, "c": 0})


@pytest.mark.parametrize(("kind", "options"), [(Naive, {}), (EWC, {"ewc_lambda": 1.0})])
def test_any_strategy_and_a_model_that_grows(kind, options):
    torch.manual_seed(0)
    model = as_multitask(SimpleMLP(num_classes=10, input_size=64, hidden_size=16), "classifier")
    recorder = recorded(model, DIGITS.train_stream[:3], kind=kind, **options)
    first, second = attribute_run(recorder, DIGITS.test_stream[:3])
    for found in (first, second):
        assert sum(found.shapley.values()) == pytest.approx(found.forgetting)
    if kind is Naive:  # heads are each task's own: none of the forgetting is theirs
        assert first.shapley["classifier"] == pytest.approx(0, abs=1e-6)
        assert first.shapley["model"] == pytest.approx(first.forgetting, abs=1e-6)


def test_a_head_that_changes_its_shape():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), IncrementalClassifier(16, 2))
    recorder = recorded(model, SplitDigits(5, shuffle=False).train_stream[:3])
    found = attribute_run(recorder, SplitDigits(5, shuffle=False).test_stream[:3])[0]
    assert found.forgetting > 0.5
    assert sum(found.shapley.values()) == pytest.approx(found.forgetting)


@pytest.mark.slow
def test_the_papers_model_and_its_noise():
    """The same noise in every evaluation, so that what does not matter counts exactly 0."""
    stream = SyntheticManifolds(60)
    recorder = ModelRecorderPlugin()
    strategy = HSFStrategy.from_preset(
        "paper", input_dim=3, seed=0, train_epochs=10, plugins=[recorder], evaluator=None
    )
    strategy.train(stream.train_stream[:3])
    found = attribute_run(recorder, stream.test_stream[:3], n_orders=3)[0]
    assert {"encoder", "hypernetwork", "flow", "encoder_sde", "decoder"} <= set(found.shapley)
    assert found.shapley["flow"] == 0  # it is no part of the reconstruction
    assert sum(found.shapley.values()) == pytest.approx(found.forgetting)
    again = attribute_run(recorder, stream.test_stream[:3], n_orders=3)[0]
    assert again == found


def test_what_is_isolated_has_forgotten_nothing():
    model = TaskConditional(mlp(), seed=0)
    recorder = recorded(model, DIGITS.train_stream[:3])
    found = attribute_run(recorder, DIGITS.test_stream[:3])[0]
    assert found.forgetting == pytest.approx(0, abs=1e-4)
    # Put back to when the task was new, the hypernetwork is that of one task: the same outputs.
    assert found.recovered["hypernetwork"] == pytest.approx(0, abs=1e-4)


def test_recorded_models_are_what_they_were_and_nothing_is_changed_by_looking():
    recorder = recorded(mlp(), DIGITS.train_stream[:2])
    before = [copy.deepcopy(model.state_dict()) for model in recorder.models]
    attribute_run(recorder, DIGITS.test_stream[:2])
    for model, state in zip(recorder.models, before, strict=True):
        assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)


def test_components():
    model = HypernetSDEFlow(3)
    assert set(find_components(model)) == {
        "encoder", "flow", "encoder_sde", "decoder_sde", "decoder", "hypernetwork", "whitening",
        "density",
    }  # fmt: skip
    parts = find_components(mlp(), {"hidden": ["1", "3.weight"]})
    assert parts == {"hidden": ["1", "3.weight"], "rest": ["3.bias", "5.weight", "5.bias"]}


@pytest.mark.parametrize(
    ("components", "error", "message"),
    [
        (["1", "7"], ValueError, r"unknown name '7'; .* children are \['0', '1'.*1.weight"),
        ({"a": ["1"], "b": ["1.bias"]}, ValueError, "1.bias is in two components, 'a' and 'b'"),
        ({"a": "1"}, TypeError, "component 'a' must be a list of names"),
    ],
)
def test_components_that_do_not_exist(components, error, message):
    with pytest.raises(error, match=message):
        find_components(mlp(), components)


def test_runs_that_were_not_recorded():
    with pytest.raises(ValueError, match="none was: give the plugin to the strategy"):
        attribute_run(ModelRecorderPlugin(), DIGITS.test_stream)
    recorder = recorded(mlp(), DIGITS.train_stream[:2])
    with pytest.raises(ValueError, match="experience 4 was not recorded, 0 to 1 were"):
        recorder.model_after(4)
    with pytest.raises(ValueError, match="2 experiences were recorded, got 5"):
        attribute_run(recorder, DIGITS.test_stream)
    with pytest.raises(ValueError, match="has no parameters"):
        find_components(nn.ReLU())


def test_error_on_is_the_mean_over_samples_not_minibatches():
    experience, model = DIGITS.test_stream[0], mlp()
    x = torch.stack([item[0] for item in experience.dataset])
    y = torch.tensor([item[1] for item in experience.dataset])
    expected = float(nn.CrossEntropyLoss()(model(x), y))
    assert error_on(experience, mb_size=7)(model) == pytest.approx(expected, rel=1e-5)
    assert not math.isnan(error_on(experience, n_passes=3)(model))


class WithAGain(nn.Module):
    """Keeps something that is no parameter and no buffer."""

    def __init__(self):
        super().__init__()
        self.linear, self.gain = nn.Linear(3, 3), 1.0

    def forward(self, x):
        return self.linear(x) * self.gain


def test_state_that_no_component_has_is_a_part_of_the_rest():
    early = WithAGain()
    late = copy.deepcopy(early)
    late.gain = 3.0
    x = torch.ones(1, 3)

    def error(model):
        return float((model(x) - early(x)).detach().square().sum())

    found = attribute_forgetting(early, late, error)
    assert found.forgetting > 0 and found.shapley["rest"] == pytest.approx(found.forgetting)
    # What is no plain value cannot be put back.
    before, after = copy.deepcopy(early), copy.deepcopy(early)
    before.f, after.f = torch.square, torch.exp
    with pytest.raises(ValueError, match="a state that no component has"):
        attribute_forgetting(before, after, lambda m: float(m.f(m(x)).detach().mean()))
    # As a part of a model it can be named.
    early, late = nn.Sequential(early), nn.Sequential(late)
    found = attribute_forgetting(early, late, lambda model: error(model[0]))
    assert found.forgetting > 0 and found.shapley["0"] == pytest.approx(found.forgetting)


def test_an_error_that_is_not_the_same_at_every_call():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with pytest.raises(ValueError, match="not the same at every call"):
        attribute_forgetting(model, copy.deepcopy(model), lambda m: float(torch.rand(())))


def test_classes_that_a_task_gains_are_seen():
    """ClassMask has no tensors, but decides what a task answers."""
    early = TaskConditional(mlp(), masking=True, seed=0)
    early.hypernetwork.add_task(0)
    early.mask.add_classes(0, [0, 1])
    late = copy.deepcopy(early)
    late.mask.add_classes(0, range(10))
    error = error_on(SplitDigits(5, shuffle=False).test_stream[0])
    found = attribute_forgetting(early, late, error)
    assert found.forgetting > 0.1 and found.shapley["mask"] == pytest.approx(found.forgetting)


def test_tied_weights():
    def tied():
        model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        model[2].weight = model[0].weight
        return model

    with pytest.raises(ValueError, match=r"0.weight and 2.weight are one parameter.*'0' and '2'"):
        find_components(tied())
    assert find_components(tied(), {"all": ["0", "2"]}) == {"all": ["0", "2"]}


def test_a_layer_whose_weights_are_written_elsewhere_is_refused():
    model = TaskConditional(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), seed=0)
    assert "module" in find_components(model)
    with pytest.raises(ValueError, match=r"module.0 are written by a hypernetwork.*hypernetwork"):
        find_components(model, {"first": ["module.0"]})
