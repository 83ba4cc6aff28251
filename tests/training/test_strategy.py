"""HSFStrategy in Avalanche pipelines."""

import math

import numpy as np
import pytest
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    task_incremental_benchmark,
    with_task_labels,
)
from avalanche.benchmarks.utils import AvalancheDataset, as_classification_dataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import loss_metrics
from avalanche.training import (
    AGEM,
    EWC,
    GEM,
    MAS,
    Cumulative,
    JointTraining,
    Naive,
    Replay,
)
from avalanche.training.plugins import EvaluationPlugin, LRSchedulerPlugin
from torch import nn
from torch.utils.data import TensorDataset, default_collate

from avalanche_hsf.benchmarks import SyntheticManifolds, reconstruction_benchmark
from avalanche_hsf.evaluation import MSEMatrix
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder
from avalanche_hsf.training import (
    BetaSchedule,
    HSFStrategy,
    LatentReplayPlugin,
    SeparationPlugin,
    negative_log_likelihood,
)


def make(**options):
    torch.manual_seed(0)
    options = {"input_dim": 3, "train_epochs": 2, "train_mb_size": 16, "evaluator": None} | options
    return HSFStrategy.from_preset("paper", **options)


def make_directly(**options):
    options = {"evaluator": None} | options
    model = HypernetSDEFlow(3)
    return HSFStrategy(model=model, optimizer=torch.optim.AdamW(model.parameters()), **options)


def weights(strategy):
    return torch.cat([p.detach().flatten() for p in strategy.model.parameters()])


@pytest.fixture
def benchmark():
    return SyntheticManifolds(20)


class Recorder(SupervisedPlugin):
    """Keeps the loss of each iteration and the names of the hooks that fired."""

    def __init__(self):
        super().__init__()
        self.losses, self.fired = [], set()

    def after_training_iteration(self, strategy, **kwargs):
        self.losses.append(float(strategy.loss))

    def __getattribute__(self, name):
        if name.startswith(("before_", "after_")):
            self.fired.add(name)
        return super().__getattribute__(name)


def test_every_hook_of_a_plugin_fires(benchmark):
    recorder = Recorder()
    strategy = make(plugins=[recorder], eval_every=1)
    recorder.fired.clear()
    strategy.train(benchmark.train_stream[0])
    strategy.eval(benchmark.test_stream)
    hooks = {name for name in dir(SupervisedPlugin) if name.startswith(("before_", "after_"))}
    assert recorder.fired >= hooks


def test_the_loss_is_the_papers(benchmark):
    # The same pass by hand: noise and weights as the strategy sees them in epoch 1 of task 0.
    recorder = Recorder()
    strategy = make(plugins=[recorder], train_mb_size=20)
    twin = make(train_mb_size=20)
    strategy.train(benchmark.train_stream[0], shuffle=False)
    x = torch.stack([item[0] for item in benchmark.train_stream[0].dataset])
    twin.model.pre_adapt(None, benchmark.train_stream[0])
    optimizer = torch.optim.AdamW(twin.model.parameters(), lr=5e-4)
    for epoch, recorded in enumerate(recorder.losses):
        out = twin.model.forward_with_latents(x, 0)
        recon = (out.reconstruction - x).square().mean()
        beta = 0.01 + 0.99 * epoch / 300
        loss = recon + beta * negative_log_likelihood(out.u, out.log_det)
        assert math.isclose(float(loss), recorded, rel_tol=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_terms_with_weight_zero_leave_no_trace(benchmark):
    bare = make_directly(gamma=0, delta=0, beta=0.0)
    kinds = {type(plugin) for plugin in bare.plugins}
    assert not kinds & {LatentReplayPlugin, SeparationPlugin}
    recorder = Recorder()
    bare = make_directly(gamma=0, delta=0, beta=0.0, train_epochs=1, plugins=[recorder])
    bare.train(benchmark.train_stream[0])
    assert 0 < recorder.losses[0] < 10  # an MSE, no likelihood in it


def test_evaluation_reports_the_plain_mse(benchmark):
    matrix = MSEMatrix()
    evaluator = EvaluationPlugin(matrix, loss_metrics(experience=True), loggers=[])
    strategy = make(evaluator=evaluator)
    strategy.train(benchmark.train_stream[0])
    values = strategy.eval(benchmark.test_stream)
    for j in range(5):
        loss = values[f"Loss_Exp/eval_phase/test_stream/Task00{j}/Exp00{j}"]
        assert math.isclose(loss, float(matrix.result()[0, j]), rel_tol=1e-5)


@pytest.mark.parametrize(("embedding_table", "steps"), [(True, 6), (False, 3)])
def test_new_tasks_join_the_optimizer_which_keeps_its_state(benchmark, embedding_table, steps):
    strategy = make(train_epochs=3, train_mb_size=20, embedding_table=embedding_table)
    strategy.train(benchmark.train_stream[0])
    optimizer, shared = strategy.optimizer, strategy.model.to_latent.weight
    first = strategy.model.task_embedding.embeddings["0"]
    assert optimizer.state[shared]["step"] == 3
    strategy.train(benchmark.train_stream[1])
    assert optimizer.state[shared]["step"] == 6
    assert optimizer.state[first]["step"] == 6  # the separation loss still moves it
    assert optimizer.state[strategy.model.task_embedding.embeddings["1"]]["step"] == steps


def test_unseen_tasks_are_evaluated_and_training_goes_on(benchmark):
    strategy = make()
    strategy.eval(benchmark.test_stream)
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
    assert strategy.model.task_embedding.tasks == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shuffle", [True, False])
def test_how_often_it_is_evaluated_does_not_change_what_is_learned(benchmark, shuffle):
    often, never = make(eval_every=1), make()
    for strategy in (often, never):
        torch.manual_seed(1)
        for experience in benchmark.train_stream[:3]:
            strategy.train(experience, eval_streams=[benchmark.test_stream], shuffle=shuffle)
            if strategy is often:
                strategy.eval(benchmark.test_stream)
    assert torch.equal(weights(often), weights(never))


def test_runs_repeat_bit_for_bit_whatever_numpy_does(benchmark):
    matrices = []
    for numpy_seed in (1, 2):
        np.random.seed(numpy_seed)
        matrix = MSEMatrix()
        strategy = make(evaluator=EvaluationPlugin(matrix, loggers=[]), seed=5)
        for experience in benchmark.train_stream:
            strategy.train(experience)
            strategy.eval(benchmark.test_stream)
        matrices.append(matrix.result())
    assert torch.equal(*matrices)


def test_classification_benchmarks_are_reconstructed():
    def digits(task):
        images = TensorDataset(torch.rand(12, 1, 4, 4), torch.arange(12) % 5 + 5 * task)
        images.targets = images.tensors[1].tolist()
        return as_classification_dataset(images)

    stream = [digits(0), digits(1)]
    benchmark = task_incremental_benchmark(benchmark_from_datasets(train=stream, test=stream))
    matrix = MSEMatrix()
    strategy = make(input_dim=16, evaluator=EvaluationPlugin(matrix, loggers=[]))
    for experience in benchmark.train_stream:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    assert torch.isfinite(matrix.result()[1]).all()


@pytest.mark.parametrize(
    ("built_in", "options"),
    [
        (Naive, {}),
        (Replay, {"mem_size": 10}),
        (EWC, {"ewc_lambda": 1.0}),
        (MAS, {}),
        (GEM, {"patterns_per_exp": 5}),
        (AGEM, {"patterns_per_exp": 5}),
        (Cumulative, {}),
        (JointTraining, {}),
    ],
)
def test_built_in_strategies_train_the_model(benchmark, built_in, options):
    matrix = MSEMatrix()
    model = HypernetSDEFlow(3)
    strategy = built_in(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters()),
        criterion=nn.MSELoss(),
        train_mb_size=20,
        train_epochs=1,
        eval_mb_size=20,
        evaluator=EvaluationPlugin(matrix, loggers=[]),
        **options,
    )
    if built_in is JointTraining:
        strategy.train(benchmark.train_stream)
    else:
        for experience in benchmark.train_stream[:3]:
            strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    assert torch.isfinite(matrix.result()[-1]).all()


def test_without_an_evaluator_it_reports_the_mse(benchmark):
    strategy = HSFStrategy.from_preset("paper", input_dim=3, train_epochs=1)
    strategy.train(benchmark.train_stream[0])
    values = strategy.eval(benchmark.test_stream[:1])
    assert "MSE_Stream/eval_phase/test_stream/Task000" in values
    assert not any("Acc" in name for name in values)


def test_stock_plugins_on_top(benchmark):
    model = HypernetSDEFlow(3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    rates = []

    class Rate(SupervisedPlugin):
        def before_training_epoch(self, strategy, **kwargs):
            rates.append(strategy.optimizer.param_groups[0]["lr"])

    plugins = [LRSchedulerPlugin(scheduler), Rate()]
    strategy = HSFStrategy(model=model, optimizer=optimizer, train_epochs=3, plugins=plugins)
    strategy.train(benchmark.train_stream[0])
    assert rates == [1e-3, 5e-4, 2.5e-4]


def test_in_memory_loading_changes_nothing_but_the_time():
    benchmark = reconstruction_benchmark(
        [torch.randn(23, 3), torch.randn(17, 3)], task_labels=[[0] * 10 + [1] * 13, 2]
    )
    trained = []
    for in_memory in (True, False):
        strategy = make(in_memory=in_memory, train_mb_size=8)
        for experience in benchmark.train_stream:
            strategy.train(experience, shuffle=True)
        trained.append(weights(strategy))
    assert torch.equal(*trained)


def test_a_collate_function_of_ones_own_sees_single_minibatches():
    def centred(samples):
        x, _, labels = default_collate(samples)
        return [x - x.mean(dim=0), x, labels]

    dataset = AvalancheDataset(
        [TensorDataset(torch.randn(8, 3), torch.zeros(8, 3))],
        data_attributes=[TaskLabels([0] * 8)],
        collate_fn=centred,
    )
    stream = with_task_labels(benchmark_from_datasets(train=[dataset])).train_stream
    means = []

    class Watch(SupervisedPlugin):
        def before_forward(self, strategy, **kwargs):
            means.append(float(strategy.mb_x.mean(dim=0).abs().max()))

    make(plugins=[Watch()], train_epochs=1, train_mb_size=4).train(stream)
    assert len(means) == 2 and max(means) < 1e-6


def test_samples_with_a_transformation_are_loaded_by_avalanche():
    transformed = AvalancheDataset(
        [TensorDataset(torch.zeros(8, 3), torch.zeros(8, 3))],
        data_attributes=[TaskLabels([0] * 8)],
        transform_groups={"train": (lambda x: x + 1, None), "eval": None},
    )
    benchmark = with_task_labels(benchmark_from_datasets(train=[transformed]))
    seen = []

    class Watch(SupervisedPlugin):
        def before_forward(self, strategy, **kwargs):
            seen.append((type(strategy.dataloader).__name__, float(strategy.mb_x.mean())))

    make(plugins=[Watch()], train_epochs=1).train(benchmark.train_stream)
    assert seen == [("TaskBalancedDataLoader", 1.0)]


def test_bad_arguments():
    with pytest.raises(TypeError, match="must be a HypernetSDEFlow, got MLPAutoencoder"):
        model = MLPAutoencoder(3)
        HSFStrategy(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    for bad in (
        {"gamma": -1.0},
        {"delta": -0.5},
        {"beta": -1.0},
        {"gamma": math.nan},
        {"train_epochs": -1},
        {"train_mb_size": 0},
        {"eval_mb_size": 0},
    ):
        with pytest.raises(ValueError):
            make_directly(**bad)
    with pytest.raises(TypeError, match="integer"):
        make_directly(train_epochs=1.5)
    with pytest.raises(TypeError, match="criterion must be callable"):
        make_directly(criterion="mse")
    with pytest.raises(TypeError, match="must be a torch Optimizer"):
        HSFStrategy(model=HypernetSDEFlow(3), optimizer=None)
    with pytest.raises(ValueError, match=r"count twice; set delta=0"):
        make_directly(plugins=[SeparationPlugin()])
    with pytest.raises(ValueError, match=r"count twice; set gamma=0"):
        make_directly(plugins=[LatentReplayPlugin()])
    with pytest.raises(ValueError, match="there is no preset"):
        HSFStrategy.from_preset("none", input_dim=3)
    assert make_directly(beta=0.5).beta(0) == make_directly(beta=0.5).beta(999) == 0.5
    assert make_directly().beta == BetaSchedule()


def stream_of(x, labels):
    dataset = AvalancheDataset([TensorDataset(x, x)], data_attributes=[TaskLabels(labels)])
    return with_task_labels(benchmark_from_datasets(train=[dataset])).train_stream


@pytest.mark.parametrize(
    ("x", "labels", "error", "message"),
    [
        (torch.full((4, 3), math.nan), [0] * 4, ValueError, "NaN or infinite"),
        (torch.full((4, 3), math.inf), [0] * 4, ValueError, "NaN or infinite"),
        (torch.zeros(4, 5), [0] * 4, ValueError, "3 features a sample"),
        (torch.zeros(4, 3).long(), [0] * 4, TypeError, "floating-point"),
        (torch.zeros(4, 3), [-1] * 4, ValueError, "at least 0"),
        (torch.zeros(0, 3), [], ValueError, "experience 0 has no samples"),
    ],
)
def test_bad_streams_raise_and_leave_the_weights_alone(x, labels, error, message):
    strategy = make()
    before = [p.detach().clone() for p in strategy.model.parameters()]
    with pytest.raises(error, match=message):
        strategy.train(stream_of(x, labels))
    # A new task's embedding may have joined; nothing else has changed.
    after = [p for n, p in strategy.model.named_parameters() if "embeddings" not in n]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
