"""Runs that diverge stop at their step, say where, and leave the old tasks alone."""

import math

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.core import SupervisedPlugin
from avalanche.training import EWC, Naive, Replay
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset

from avalanche_hsf.analysis import LossTerms
from avalanche_hsf.benchmarks import regression_benchmark
from avalanche_hsf.divergence import DivergedError, all_finite, norm_of
from avalanche_hsf.models import HYPERNETWORKS, HypernetSDEFlow, TaskConditional
from avalanche_hsf.models.tasks.nested import tensors_of
from avalanche_hsf.training import (
    CosineRestartPlugin,
    DivergencePlugin,
    HSFStrategy,
    get_preset,
    make_protections,
)
from avalanche_hsf.training.terms import add_term

PRESETS = ["paper", "repaired", "isolated", "compact"]
SMALL = {
    "hidden_dim": 8,
    "latent_dim": 4,
    "flow_layers": 2,
    "flow_hidden_dim": 8,
    "sde_hidden_dim": 8,
    "encoder_steps": 2,
    "decoder_steps": 1,
}
N, SIZE = 24, 8  # samples of a task, and of a minibatch
CAUSES = {
    "a rate of 1000": {"rate": 1e3},
    "a NaN in an input": {"x": (5, math.nan)},
    "a NaN in a target": {"y": (5, math.nan)},
    "infinity in the third minibatch": {"x": (2 * SIZE + 1, math.inf)},
    "inputs of 1e20": {"scale": 1e20},
}
EVERY_CAUSE = pytest.mark.parametrize("cause", CAUSES)


class OldTask(SupervisedPlugin):
    """Notes what the first task answers before each step, and which step it is."""

    def __init__(self):
        super().__init__()
        self.answers, self.step = None, None

    def before_training_iteration(self, strategy, **kwargs):
        clock = strategy.clock
        self.step = clock.train_exp_epochs, clock.train_epoch_iterations
        self.answers = answers(strategy.model)


@torch.no_grad()
def answers(model, label=0):
    """The output for some samples of a task; the noise goes on as if there had been none."""
    noise = getattr(model, "noise", None)
    state = None if noise is None else noise.get_extra_state()
    mode = model.training
    x = torch.linspace(-1, 1, 12).view(4, 3)
    out = model.eval()(x, label)
    model.train(mode)
    if noise is not None:
        noise.set_extra_state(state)
    return out


def stream(*, x=None, y=None, scale=1.0, rate=None):
    """A healthy task, and one with a fault that no benchmark of ours would let in."""
    pairs = []
    for seed in range(2):
        inputs = torch.randn(N, 3, generator=torch.Generator().manual_seed(seed))
        pairs.append((inputs, inputs.flip(1).clone()))
    inputs, targets = pairs[1]
    inputs *= scale
    tasks = regression_benchmark(pairs).train_stream
    for tensor, fault in ((inputs, x), (targets, y)):
        if fault is not None:
            row, value = fault
            tensor[row, 1] = value  # the dataset has the same memory
    return tasks


def hsf(preset, **options):
    return HSFStrategy.from_preset(
        preset,
        input_dim=3,
        seed=0,
        model_options={**SMALL, "output_dim": 3},
        criterion=nn.MSELoss(),
        train_mb_size=SIZE,
        train_epochs=6,
        evaluator=None,
        **options,
    )


def net():
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def naive(model, *plugins, template=Naive, **options):
    return template(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
        criterion=nn.MSELoss(),
        train_mb_size=SIZE,
        train_epochs=6,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


def conditional(kind):
    return TaskConditional(net(), hypernetwork=kind, seed=0)


def diverge(strategy, cause):
    """Trains a healthy task and one that diverges.

    Returns the message, what the first task answered at the end of its training, and what was
    noted last.
    """
    noted, fault = OldTask(), CAUSES[cause]
    first, second = stream(**fault)
    strategy.train(first, shuffle=False)
    learned = answers(strategy.model)
    strategy.plugins.insert(0, noted)
    if "rate" in fault:
        others = [p for p in strategy.plugins if not isinstance(p, CosineRestartPlugin)]
        strategy.plugins = others
        for group in strategy.optimizer.param_groups:
            group["lr"] = fault["rate"]
    with pytest.raises(DivergedError) as caught:
        strategy.train(second, shuffle=False)
    return str(caught.value), learned, noted


def check_state(strategy, learned, noted):
    """All weights are finite, and the first task answers as before the step."""
    model = strategy.model
    assert all_finite(model.state_dict()[name] for name, _ in model.named_parameters())
    # Of kinds that share weights the old tasks' answers may have left the finite numbers before.
    torch.testing.assert_close(answers(model), noted.answers, rtol=0, atol=0, equal_nan=True)
    if model.hypernetwork.holds_old_tasks:
        assert torch.equal(answers(model), learned)


def check_message(message, cause, noted, *, by_plugin):
    epoch, minibatch = noted.step
    assert "\n" not in message and "the step was not taken" in message
    assert message.startswith("training of task 1 diverged ")
    if by_plugin:
        assert f"in experience 1, epoch {epoch}, minibatch {minibatch}: " in message
    else:
        assert f"at training pass {epoch * N // SIZE + minibatch + 1}: " in message
    if cause in ("a NaN in an input", "infinity in the third minibatch"):
        assert "NaN or infinite entries in the input" in message
    if cause == "a NaN in a target":
        assert ("entries in the target" if by_plugin else "the gradient of the output") in message
    if "rate" not in CAUSES[cause]:
        assert noted.step == (0, 2 if cause == "infinity in the third minibatch" else 0)


@EVERY_CAUSE
@pytest.mark.parametrize(
    "preset",
    [p if p in ("paper", "compact") else pytest.param(p, marks=pytest.mark.slow) for p in PRESETS],
)
def test_a_preset_stops_at_its_step(preset, cause):
    strategy = hsf(preset)
    message, learned, noted = diverge(strategy, cause)
    check_message(message, cause, noted, by_plugin=True)
    check_state(strategy, learned, noted)


@EVERY_CAUSE
@pytest.mark.parametrize("plugins", [[], [DivergencePlugin]], ids=["alone", "with the plugin"])
@pytest.mark.parametrize("kind", HYPERNETWORKS)
def test_any_network_under_any_strategy_stops_at_its_step(kind, plugins, cause):
    strategy = naive(conditional(kind), *(plugin() for plugin in plugins))
    message, learned, noted = diverge(strategy, cause)
    check_message(message, cause, noted, by_plugin=bool(plugins))
    check_state(strategy, learned, noted)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_protections_of_a_preset_have_the_guard(preset):
    preset = get_preset(preset)
    model = TaskConditional(net(), seed=0, **preset.hypernetwork)
    strategy = naive(model, *make_protections(preset.protections))
    message, learned, noted = diverge(strategy, "a NaN in a target")
    check_message(message, "a NaN in a target", noted, by_plugin=True)
    check_state(strategy, learned, noted)


@EVERY_CAUSE
@pytest.mark.parametrize("template", [Naive, Replay, EWC])
def test_a_stock_model_keeps_its_last_good_weights(template, cause):
    options = {Replay: {"mem_size": 10}, EWC: {"ewc_lambda": 0.1}}.get(template, {})
    strategy = naive(net(), DivergencePlugin(), template=template, **options)
    strategy.model.forward = lambda x, label=None, run=strategy.model.forward: run(x)
    message, _, noted = diverge(strategy, cause)
    assert f"epoch {noted.step[0]}, minibatch {noted.step[1]}: " in message
    assert all_finite(strategy.model.parameters())
    torch.testing.assert_close(
        answers(strategy.model), noted.answers, rtol=0, atol=0, equal_nan=True
    )


def test_a_stream_without_task_labels():
    dataset = AvalancheDataset([TensorDataset(torch.full((4, 3), math.inf), torch.zeros(4, 3))])
    (experience,) = benchmark_from_datasets(train=[dataset]).train_stream
    strategy = naive(net(), DivergencePlugin())
    with pytest.raises(DivergedError, match="training diverged in experience 0, epoch 0"):
        strategy.train(experience)


def test_the_strategy_goes_on_after_it():
    strategy = hsf("compact")
    diverge(strategy, "a NaN in a target")
    values = strategy.eval(stream())
    assert values is not None and strategy.model.hypernetwork.tasks == [0, 1]
    before = answers(strategy.model)
    strategy.train(stream()[1])
    assert torch.equal(answers(strategy.model), before)
    assert all_finite(strategy.model.parameters())


def with_batch_norm():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("make", [with_batch_norm, lambda: TaskConditional(with_batch_norm())])
def test_running_statistics_are_those_of_the_last_good_step(make):
    model = make()
    strategy = naive(model, DivergencePlugin())
    if isinstance(model, nn.Sequential):
        model.forward = lambda x, label=None, run=model.forward: run(x)
    diverge(strategy, "inputs of 1e20")
    assert all_finite(tensors_of(model.state_dict()))
    assert all_finite([answers(model, 0), answers(model, 1)])


@pytest.mark.parametrize("preset", PRESETS)
def test_the_statistics_of_the_latents_are_those_of_the_last_good_step(preset):
    strategy = hsf(preset)
    diverge(strategy, "inputs of 1e20")
    assert all_finite(tensors_of(strategy.model.state_dict()))


class Spoils(SupervisedPlugin):
    """Adds a term that is not finite."""

    def before_backward(self, strategy, **kwargs):
        add_term(strategy, "mine", strategy.loss.detach() * math.inf)


@pytest.mark.parametrize("watched", [False, True])
def test_the_term_of_the_loss_is_named(watched):
    evaluator = EvaluationPlugin(*([LossTerms()] if watched else []), loggers=[])
    strategy = HSFStrategy.from_preset(
        "isolated",
        input_dim=3,
        model_options=SMALL,
        train_epochs=1,
        plugins=[Spoils()],
        evaluator=None,
    )
    strategy.plugins.insert(-2, evaluator)
    with pytest.raises(DivergedError, match=r"the loss is NaN or infinite \(mine\);"):
        strategy.train(stream()[0])
    assert strategy.loss_terms is None


def test_metrics_of_terms_and_the_guard_do_not_disturb_each_other():
    metric = LossTerms()
    strategy = hsf("isolated")
    strategy.plugins.insert(-2, EvaluationPlugin(metric, loggers=[]))
    strategy.train(stream()[0])
    assert set(metric.result()["LossTerm_Epoch"]) == {"recon", "nll"}


@pytest.mark.parametrize("kind", HYPERNETWORKS)
def test_in_a_loop_of_ones_own(kind):
    model = conditional(kind)
    model.hypernetwork.begin([0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = torch.randn(8, 3)
    for _ in range(3):
        optimizer.zero_grad()
        (model(x, 0) ** 2).mean().backward()
        optimizer.step()
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer.zero_grad()
    with pytest.raises(DivergedError, match="at training pass 4: the gradient of the output"):
        (model(x, 0).mean() * math.nan).backward()
    with pytest.raises(DivergedError, match="at training pass 5: NaN or infinite entries in"):
        model(x * math.inf, 0)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    optimizer.zero_grad()
    (model(x, 0) ** 2).mean().backward()


def test_weights_that_are_spoiled_are_named():
    model = conditional("isolated")
    model.hypernetwork.begin([0])
    with torch.no_grad():
        next(iter(model.hypernetwork.drafts[0].values()))[0, 0] = math.nan
    with pytest.raises(DivergedError, match=r"weights are NaN or infinite \(hypernetwork.drafts"):
        model(torch.randn(8, 3), 0).mean().backward()


def test_infinite_gradients_pass_where_a_scaler_skips_them():
    model = conditional("isolated")
    model.hypernetwork.begin([0])
    model.guard.on = False
    (model(torch.randn(8, 3), 0).mean() * math.inf).backward()
    assert not all_finite(p.grad for p in model.parameters() if p.grad is not None)


def test_evaluation_and_passes_without_gradients_are_not_checked():
    model = conditional("isolated")
    model.hypernetwork.begin([0])
    x = torch.full((2, 3), math.nan)
    with torch.no_grad():
        assert model(x, 0).isnan().all()
    assert model.eval()(x, 0).isnan().all()
    assert model.guard.passes == {}


def test_a_healthy_run_is_the_same_to_the_bit():
    def trained(on):
        torch.manual_seed(0)
        model = conditional("paper")
        model.guard.on = on
        strategy = naive(model)
        for experience in stream():
            strategy.train(experience)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(trained(True), trained(False))


def test_it_gets_on_with_transforms_of_functions():
    model = HypernetSDEFlow(3, seed=0, **SMALL)
    model.hypernetwork.begin([0])
    parameters = {n: p.detach() for n, p in model.named_parameters()}

    def loss(parameters, x):
        return torch.func.functional_call(model, parameters, (x, 0)).square().mean()

    x = torch.randn(4, 3)
    assert all_finite(torch.func.grad(loss)(parameters, x).values())
    of_rows = torch.func.vmap(torch.func.grad(loss), (None, 0), randomness="different")
    assert all_finite(of_rows(parameters, x.unsqueeze(1)).values())


def test_it_gets_on_with_compilation():
    model = conditional("isolated")
    model.hypernetwork.begin([0])
    model.compile(backend="eager")
    x = torch.randn(8, 3)
    model(x, 0).mean().backward()
    with pytest.raises(DivergedError, match="training pass 2"):
        model(x * math.nan, 0)
    with pytest.raises(DivergedError, match="training pass 3"):
        (model(x, 0).mean() * math.nan).backward()


def test_nested_inputs_and_mixed_batches():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return {"out": self.layer(x["a"]) + x["b"]}

    model = TaskConditional(Two(), seed=0)
    model.hypernetwork.begin([0, 1])
    labels = torch.tensor([0, 1, 0, 1])
    x = {"a": torch.randn(4, 3), "b": torch.zeros(4, 3)}
    model(x, labels)["out"].sum().backward()
    x["b"][2, 1] = math.inf
    with pytest.raises(DivergedError, match="tasks 0, 1 diverged at training pass 2"):
        model(x, labels)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.full((2, 2), 6e4, dtype=torch.float16),  # whose sum overflows
        torch.full((3,), 1e300, dtype=torch.float64),
        torch.tensor([1e38, 1e38, 1e38, 3e38]),
        torch.arange(4),
        torch.zeros(0),
        torch.eye(2).to_sparse(),
        torch.zeros(3, device="meta"),
        torch.ones(2, dtype=torch.complex64),
    ],
)
def test_what_is_finite(tensor):
    assert all_finite([tensor])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("size", [3, 70_000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_is_not(dtype, size, value):
    tensor = torch.zeros(size, dtype=dtype)
    assert math.isfinite(norm_of([tensor, tensor.float()]))
    tensor[-1] = value
    assert not all_finite([tensor.float(), tensor])
    assert not math.isfinite(norm_of([torch.ones(2), tensor]))
    assert not math.isfinite(norm_of([tensor.unsqueeze(0).to_sparse(), torch.ones(2)]))
