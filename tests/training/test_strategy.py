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
from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics, loss_metrics
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

from avalanche_hsf.benchmarks import (
    PolynomialRegression,
    SplitDigits,
    SyntheticManifolds,
    reconstruction_benchmark,
)
from avalanche_hsf.evaluation import MSEMatrix
from avalanche_hsf.models import HYPERNETWORKS, HypernetSDEFlow, MLPAutoencoder
from avalanche_hsf.training import (
    DEFAULT,
    BetaSchedule,
    CommitPlugin,
    CosineRestartPlugin,
    DetachedLikelihoodPlugin,
    DiffusionFloorPlugin,
    DivergencePlugin,
    FreezeEmbeddingsPlugin,
    FreezeSharedPlugin,
    HSFStrategy,
    InMemoryLoadingPlugin,
    LatentReplayPlugin,
    OutputRegularizerPlugin,
    RawReplayPlugin,
    SeparationPlugin,
    WarmStartPlugin,
    get_preset,
    negative_log_likelihood,
)

SMALL = {
    "hidden_dim": 8,
    "latent_dim": 4,
    "flow_layers": 2,
    "flow_hidden_dim": 8,
    "sde_hidden_dim": 8,
    "encoder_steps": 2,
    "decoder_steps": 1,
}
NARROW = {"hidden_dim": 32, "flow_hidden_dim": 16, "sde_hidden_dim": 16}
# One of each kind: "paper-early" differs from "paper" in weights alone.
EVERY_PRESET = pytest.mark.parametrize("preset", ["paper", "repaired", "isolated", "compact"])


def make(preset="paper", **options):
    torch.manual_seed(0)
    options = {"train_epochs": 2, "train_mb_size": 16, "evaluator": None} | options
    return HSFStrategy.from_preset(
        preset, **{"input_dim": 3, "seed": 0, "model_options": SMALL} | options
    )


def make_directly(**options):
    options = {"evaluator": None} | options
    model = HypernetSDEFlow(3, **SMALL)
    return HSFStrategy(model=model, optimizer=torch.optim.AdamW(model.parameters()), **options)


def weights(strategy):
    """All parameters, none of which are left where everything is committed."""
    parameters = [p.detach().flatten() for p in strategy.model.parameters()]
    return torch.cat([torch.zeros(0), *parameters])


def written(strategy, task):
    """What the hypernetwork writes for a task."""
    weights = strategy.model.eval().hypernetwork([task])
    return torch.cat([w.detach().flatten() for w in weights.values()])


@pytest.fixture
def benchmark():
    return SyntheticManifolds(20)


class Recorder(SupervisedPlugin):
    """Keeps the loss of each iteration and the names of the hooks that fired."""

    def __init__(self):
        super().__init__()
        self.losses, self.fired = [], set()

    def after_training_iteration(self, strategy, **kwargs):
        self.losses.append(float(strategy.loss.detach()))

    def __getattribute__(self, name):
        if name.startswith(("before_", "after_")):
            self.fired.add(name)
        return super().__getattribute__(name)


@EVERY_PRESET
def test_every_hook_of_a_plugin_fires(benchmark, preset):
    recorder = Recorder()
    strategy = make(preset, plugins=[recorder], eval_every=1)
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
        loss = recon + beta * negative_log_likelihood(*twin.model.flow_of(out.z0, 0))
        assert math.isclose(float(loss.detach()), recorded, rel_tol=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_terms_with_weight_zero_leave_no_trace(benchmark):
    recorder = Recorder()
    bare = make(gamma=0, delta=0, beta=0.0, train_epochs=1, plugins=[recorder])
    kinds = {type(plugin) for plugin in bare.plugins}
    assert not kinds & {LatentReplayPlugin, SeparationPlugin}
    bare.model.flow_of = None  # there is no likelihood to ask it for
    bare.train(benchmark.train_stream[0])
    assert 0 < recorder.losses[0] < 10  # an MSE


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
    optimizer, shared = strategy.optimizer, strategy.model.encoder.to_latent.weight
    embeddings = strategy.model.hypernetwork.task_embedding.embeddings
    first = embeddings[0]
    assert optimizer.state[shared]["step"] == 3
    strategy.train(benchmark.train_stream[1])
    assert optimizer.state[shared]["step"] == 6
    assert optimizer.state[first]["step"] == 6  # the separation loss still moves it
    assert optimizer.state[embeddings[1]]["step"] == steps


@pytest.mark.parametrize("preset", ["isolated", "compact"])
def test_the_optimizer_lets_go_of_what_the_model_has_let_go_of(benchmark, preset):
    strategy = make(preset)
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience)
        held = {id(p) for group in strategy.optimizer.param_groups for p in group["params"]}
        trained = {id(p) for p in strategy.model.parameters()}
        assert trained <= held
    strategy.make_optimizer()
    held = [p for group in strategy.optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in held} == trained
    assert all(any(p is own for own in held) for p in strategy.optimizer.state)


@EVERY_PRESET
def test_unseen_tasks_are_evaluated_and_training_goes_on(benchmark, preset):
    strategy = make(preset, train_epochs=1)
    strategy.eval(benchmark.test_stream)
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
    assert strategy.model.hypernetwork.tasks == [0, 1, 2]


@pytest.mark.parametrize(
    ("preset", "shuffle"),
    [("paper", True), ("paper", False), ("isolated", False), ("compact", True)],
)
def test_how_often_it_is_evaluated_does_not_change_what_is_learned(benchmark, preset, shuffle):
    often, never = make(preset, eval_every=1), make(preset)
    for strategy in (often, never):
        torch.manual_seed(1)
        for experience in benchmark.train_stream[:3]:
            strategy.train(experience, eval_streams=[benchmark.test_stream[:3]], shuffle=shuffle)
            if strategy is often:
                strategy.eval(benchmark.test_stream[:3])
    for task in range(3):
        assert torch.equal(written(often, task), written(never, task))
    assert torch.equal(weights(often), weights(never))


@pytest.mark.parametrize("preset", ["isolated", "compact"])
def test_finished_tasks_stay_as_they_were(benchmark, preset):
    strategy = make(preset)
    finished = {}
    for experience in benchmark.train_stream:
        strategy.train(experience)
        finished[experience.task_label] = written(strategy, experience.task_label)
        for task, w in finished.items():
            assert (written(strategy, task) - w).norm() <= 1e-5 * w.norm()
    assert len({float(w.norm()) for w in finished.values()}) == 5  # and each of them was trained


@EVERY_PRESET
def test_runs_repeat_bit_for_bit_whatever_numpy_does(benchmark, preset):
    matrices = []
    for numpy_seed in (1, 2):
        np.random.seed(numpy_seed)
        matrix = MSEMatrix()
        strategy = make(preset, evaluator=EvaluationPlugin(matrix, loggers=[]), seed=5)
        for experience in benchmark.train_stream[:3]:
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


@pytest.mark.parametrize("preset", ["paper", "repaired", "isolated", "compact"])
def test_with_a_head_it_classifies(preset):
    benchmark = SplitDigits(5, seed=0)
    strategy = HSFStrategy.from_preset(
        preset,
        input_dim=64,
        seed=0,
        model_options={"output_dim": 10, "masking": True, **NARROW},
        train_mb_size=64,
        train_epochs=10,
        evaluator=EvaluationPlugin(
            accuracy_metrics(experience=True), forgetting_metrics(experience=True), loggers=[]
        ),
    )
    assert isinstance(strategy._criterion, nn.CrossEntropyLoss)
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
        metrics = strategy.eval(benchmark.test_stream[:2])
    accuracies = [value for name, value in metrics.items() if name.startswith("Top1_Acc_Exp")]
    assert min(accuracies) > (0.9 if preset in ("isolated", "compact") else 0.4)
    for plugin in strategy.plugins:
        if isinstance(plugin, LatentReplayPlugin):  # what is replayed has the class for a target
            y = torch.tensor([item[0] for item in plugin.storage_policy.buffer])
            classes = {c for e in benchmark.train_stream[:2] for c in e.classes_in_this_experience}
            assert set(y.tolist()) == classes


def test_with_a_head_it_regresses():
    benchmark = PolynomialRegression()
    matrix = MSEMatrix()
    strategy = HSFStrategy.from_preset(
        input_dim=1,
        model_options={"output_dim": 1},
        criterion=nn.MSELoss(),
        train_epochs=60,
        evaluator=EvaluationPlugin(matrix, loggers=[]),
    )
    strategy.train(benchmark.train_stream[0])
    strategy.eval(benchmark.test_stream[:1])
    assert matrix.result()[0, 0] < 0.05  # y = x + 3: predicting x would be off by 9


@pytest.mark.parametrize(
    ("benchmark", "options", "criterion"),
    [
        (SplitDigits, {"output_dim": 10}, nn.MSELoss()),  # torch only warns, and broadcasts
        (SplitDigits, {"output_dim": 4}, None),  # fewer than classes
        (PolynomialRegression, {"output_dim": 3}, nn.MSELoss()),
    ],
)
def test_a_criterion_that_does_not_fit(benchmark, options, criterion):
    experience = benchmark(seed=0).train_stream[1]
    strategy = HSFStrategy.from_preset(
        input_dim=experience.dataset[0][0].numel(),
        model_options=options,
        criterion=criterion,
        train_epochs=1,
        evaluator=None,
    )
    with pytest.raises(ValueError, match="does not fit: a sample has an output of shape"):
        strategy.train(experience)
    assert strategy.clock.train_iterations == 0


def test_the_default_metrics_fit_what_is_learned(capsys):
    """Reconstructing it reports the MSE, classifying the accuracy."""
    for options, name in (({}, "MSE"), ({"output_dim": 10}, "Top1_Acc")):
        strategy = HSFStrategy.from_preset(input_dim=64, model_options=options, train_epochs=1)
        benchmark = SplitDigits(5)
        strategy.train(benchmark.train_stream[0])
        assert any(name in key for key in strategy.eval(benchmark.test_stream[:1]))


BUILT_IN = {
    Naive: {},
    Replay: {"mem_size": 10},
    EWC: {"ewc_lambda": 1.0},
    MAS: {},
    GEM: {"patterns_per_exp": 5},
    AGEM: {"patterns_per_exp": 5},
    Cumulative: {},
    JointTraining: {},
}
# These need a gradient from samples of old tasks, which nothing isolated has.
OF_OLD_TASKS = {GEM, AGEM}


@pytest.mark.parametrize(
    ("kind", "built_in"),
    [
        (kind, each)
        for kind in HYPERNETWORKS
        for each in BUILT_IN
        if kind == "paper" or each not in OF_OLD_TASKS
    ],
)
def test_built_in_strategies_train_the_model(benchmark, kind, built_in):
    matrix = MSEMatrix()
    model = HypernetSDEFlow(3, hypernetwork=kind, **SMALL)
    strategy = built_in(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters()),
        criterion=nn.MSELoss(),
        train_mb_size=20,
        train_epochs=1,
        eval_mb_size=20,
        evaluator=EvaluationPlugin(matrix, loggers=[]),
        **BUILT_IN[built_in],
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


@pytest.mark.parametrize(
    "kind",
    [
        "paper",
        "isolated",
        "delta",
    ],
)
def test_joint_training_trains_every_task(benchmark, kind):
    # Avalanche adapts the model to one experience after the other, then trains on all of them.
    model = HypernetSDEFlow(3, hypernetwork=kind, **SMALL)
    strategy = JointTraining(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters()),
        criterion=nn.MSELoss(),
        train_mb_size=100,
        train_epochs=1,
        evaluator=EvaluationPlugin(loggers=[]),
    )
    strategy.train(benchmark.train_stream)
    assert model.hypernetwork.tasks == [0, 1, 2, 3, 4]
    for task in range(5):
        assert any(w.requires_grad for w in model.hypernetwork([task]).values()), task


def test_stock_plugins_on_top(benchmark):
    model = HypernetSDEFlow(3, **SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    rates = []

    class Rate(SupervisedPlugin):
        def before_training_epoch(self, strategy, **kwargs):
            rates.append(strategy.optimizer.param_groups[0]["lr"])

    plugins = [LRSchedulerPlugin(scheduler), Rate()]
    options = {"model": model, "optimizer": optimizer, "train_epochs": 3, "evaluator": None}
    strategy = HSFStrategy(plugins=plugins, **options)
    strategy.train(benchmark.train_stream[0])
    assert rates == [1e-3, 5e-4, 2.5e-4]
    with pytest.raises(ValueError, match="both set the learning rate"):
        with_both = HSFStrategy(plugins=[*plugins, CosineRestartPlugin()], **options)
        with_both.train(benchmark.train_stream[0])


@EVERY_PRESET
def test_in_memory_loading_changes_nothing_but_the_time(preset):
    benchmark = reconstruction_benchmark(
        [torch.randn(23, 3), torch.randn(17, 3)], task_labels=[[0] * 10 + [1] * 13, 2]
    )
    trained = []
    for in_memory in (True, False):
        strategy = make(preset, in_memory=in_memory, train_mb_size=8)
        for experience in benchmark.train_stream:
            strategy.train(experience, shuffle=True)
        trained.append(torch.cat([weights(strategy), *(written(strategy, t) for t in (0, 1, 2))]))
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
        make_directly(delta=1.0, plugins=[SeparationPlugin()])
    with pytest.raises(ValueError, match=r"count twice; set gamma=0"):
        make(plugins=[LatentReplayPlugin()])
    constant = make_directly(beta=0.5, protections=[])
    assert constant.beta(0) == constant.beta(999) == 0.5
    assert make().beta == BetaSchedule()


def test_protections_replace_those_of_the_preset(benchmark):
    strategy = make(DEFAULT, protections=[FreezeSharedPlugin()], train_epochs=1)
    kinds = {type(plugin).__name__ for plugin in strategy.plugins}
    # A task's weights are committed, and steps checked, whatever protects them.
    always = {"CommitPlugin", "DivergencePlugin"}
    assert kinds & set(get_preset(DEFAULT).protections) == {"FreezeSharedPlugin", *always}
    with pytest.raises(ValueError, match="is among the plugins twice"):
        make(DEFAULT, plugins=[FreezeSharedPlugin()]).train(benchmark.train_stream[0])


def test_without_a_preset_it_is_plain(benchmark):
    strategy = make_directly()
    assert (strategy.train_mb_size, strategy.train_epochs, strategy.eval_mb_size) == (1, 1, 1)
    assert (strategy.beta.scale, strategy.gamma, strategy.delta) == (0, 0, 0)
    assert [type(plugin) for plugin in strategy.plugins[:3]] == [
        CommitPlugin,
        DivergencePlugin,
        InMemoryLoadingPlugin,
    ]
    assert len(strategy.plugins) == len(Naive(model=nn.Linear(1, 1), **PLAIN).plugins) + 3
    optimizer = strategy.optimizer
    strategy.train(benchmark.train_stream[0])
    assert strategy.optimizer is optimizer
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3]
    with pytest.raises(TypeError, match="preset"):
        make_directly(preset="paper")


PLAIN = {
    "optimizer": torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1),
    "criterion": nn.MSELoss(),
    "evaluator": None,
}


# By class: what each kind of hypernetwork can have, all at once.
FOR_ANY = [
    CosineRestartPlugin,
    DetachedLikelihoodPlugin,
    DiffusionFloorPlugin,
    FreezeSharedPlugin,
    LatentReplayPlugin,
    RawReplayPlugin,
    WarmStartPlugin,
]
FOR_LEARNED_EMBEDDINGS = [FreezeEmbeddingsPlugin, OutputRegularizerPlugin, SeparationPlugin]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("preset", "kinds"),
    [
        ("repaired", FOR_ANY + FOR_LEARNED_EMBEDDINGS),
        ("isolated", FOR_ANY),
        ("compact", FOR_ANY),
    ],
)
def test_all_plugins_together_in_any_order(benchmark, preset, kinds, backwards):
    plugins = [kind() for kind in (reversed(kinds) if backwards else kinds)]
    matrix = MSEMatrix()
    strategy = make(
        preset,
        gamma=0,
        delta=0,
        protections=plugins,
        evaluator=EvaluationPlugin(matrix, loggers=[]),
    )
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience)
    strategy.eval(benchmark.test_stream)
    assert torch.isfinite(matrix.result()[-1]).all()


@EVERY_PRESET
def test_a_run_that_was_saved_between_tasks_goes_on(benchmark, preset):
    first = make(preset)
    first.train(benchmark.train_stream[:2])
    second = make(preset)
    second.model.load_state_dict(first.model.state_dict())
    before = [written(first, task) for task in (0, 1)]
    second.train(benchmark.train_stream[2])
    assert second.model.hypernetwork.tasks == [0, 1, 2]
    for task, w in enumerate(before):
        assert torch.equal(written(first, task), w)
        if second.model.hypernetwork.holds_old_tasks:
            assert (written(second, task) - w).norm() <= 1e-5 * w.norm()


def stream_of(x, labels):
    dataset = AvalancheDataset([TensorDataset(x, x)], data_attributes=[TaskLabels(labels)])
    return with_task_labels(benchmark_from_datasets(train=[dataset])).train_stream


@pytest.mark.parametrize(
    ("x", "labels", "error", "message"),
    [
        (torch.full((4, 3), math.nan), [0] * 4, ValueError, "NaN or infinite"),
        (torch.full((4, 3), math.inf), [0] * 4, ValueError, "NaN or infinite"),
        (torch.zeros(4, 5), [0] * 4, ValueError, "3 features per sample"),
        (torch.zeros(4, 3).long(), [0] * 4, TypeError, "floating-point"),
        (torch.zeros(4, 3), [-1] * 4, ValueError, "at least 0"),
        (torch.zeros(0, 3), [], ValueError, "experience 0 has no samples"),
    ],
)
@pytest.mark.parametrize("preset", ["paper", DEFAULT])
def test_bad_streams_raise_and_leave_the_weights_alone(x, labels, error, message, preset):
    strategy = make(preset, train_epochs=1)
    strategy.train(stream_of(torch.randn(4, 3), [7] * 4))
    before = {name: p.detach().clone() for name, p in strategy.model.named_parameters()}
    of_old_task = written(strategy, 7)
    with pytest.raises(error, match=message):
        strategy.train(stream_of(x, labels))
    # What belongs to the new task may have joined; nothing else has changed.
    after = dict(strategy.model.named_parameters())
    assert all(torch.equal(after[name], p) for name, p in before.items())
    assert torch.equal(written(strategy, 7), of_old_task)
    assert strategy.train(stream_of(torch.randn(4, 3), [2] * 4)) is not None
