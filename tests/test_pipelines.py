"""Every row of docs/pipelines.md: what users of Avalanche combine our models with."""

import copy
import csv
import functools
import io
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    benchmark_with_validation_stream,
    class_incremental_benchmark,
    nc_benchmark,
    ni_benchmark,
    split_online_stream,
    task_incremental_benchmark,
    tensors_benchmark,
    with_task_labels,
)
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute, as_classification_dataset
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.checkpointing import save_checkpoint
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import (
    accuracy_metrics,
    bwt_metrics,
    cpu_usage_metrics,
    forgetting_metrics,
    loss_metrics,
    timing_metrics,
)
from avalanche.logging import CSVLogger, InteractiveLogger, TensorboardLogger, TextLogger
from avalanche.models import MlpVAE, SimpleMLP, as_multitask
from avalanche.training import (
    AGEM,
    EWC,
    GEM,
    Cumulative,
    GenerativeReplay,
    JointTraining,
    LwF,
    Naive,
    Replay,
    SynapticIntelligence,
)
from avalanche.training.plugins import (
    EarlyStoppingPlugin,
    EvaluationPlugin,
    EWCPlugin,
    GenerativeReplayPlugin,
    LRSchedulerPlugin,
    LwFPlugin,
    ReplayPlugin,
    SynapticIntelligencePlugin,
)
from torch import nn
from torch.utils.data import Dataset, default_collate

from avalanche_hsf import logging as our_loggers
from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.checkpoints import resume, save
from avalanche_hsf.divergence import DivergedError
from avalanche_hsf.evaluation import ErrorRateMatrix, MSEMatrix, mse_metrics
from avalanche_hsf.inference import TaskRecognizer
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    CommitPlugin,
    CosineRestartPlugin,
    FreezeEmbeddingsPlugin,
    FreezeSharedPlugin,
    GeneratedReplayPlugin,
    HSFStrategy,
    InMemoryLoadingPlugin,
    OutputRegularizerPlugin,
    TaskInferencePlugin,
    WarmStartPlugin,
)

pytestmark = [  # of Avalanche's own
    pytest.mark.filterwarnings("ignore:stream generator"),
    pytest.mark.filterwarnings("ignore:Call to deprecated"),
]
KINDS = {
    "isolated": {},
    "delta": {"adapter": "core", "size": 64},
    "mlp": {"embedding_dim": 4, "hidden_dims": (16,)},
    "chunked": {"embedding_dim": 4, "chunk_embedding_dim": 4, "hidden_dims": (16,)},
}
HOLD_OLD_TASKS = ("isolated", "delta")
# Where a test has many rows, those of the kind that resembles another one are slow ones.
DELTA_IS_SLOW = pytest.param("delta", marks=pytest.mark.slow)
CHUNKED_IS_SLOW = pytest.param("chunked", marks=pytest.mark.slow)
EACH = ["isolated", "mlp", DELTA_IS_SLOW, CHUNKED_IS_SLOW]
STREAM = SplitDigits(5, shuffle=False, test_size=0.65)


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def with_batch_norm():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Linear(32, 10))


def conditional(kind="isolated", module=network, **options):
    torch.manual_seed(0)
    return TaskConditional(
        module(), hypernetwork=kind, hypernetwork_options=KINDS[kind], seed=0, **options
    )


def strategy_of(model, *plugins, of=Naive, **options):
    # Some of Avalanche's strategies take arguments of their own, all take these.
    given = {
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters(), lr=0.02),
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": 16,
        "train_epochs": 8,
        "eval_mb_size": 1000,
        "plugins": list(plugins),
        "evaluator": EvaluationPlugin(loggers=[]),
    }
    return of(**{**given, **options})


def columns(experience):
    dataset = experience.dataset.eval()
    return default_collate([dataset[i] for i in range(len(dataset))])


@torch.no_grad()
def scores(model, experience):
    x, _, t = columns(experience)
    return model.eval()(x, t)


def accuracy(model, experience):
    _, y, _ = columns(experience)
    return float((scores(model, experience).argmax(dim=1) == y).float().mean())


def loss_on(model, experience):
    _, y, _ = columns(experience)
    return float(nn.functional.cross_entropy(scores(model, experience), y))


# Benchmarks


class Digits(Dataset):
    """As the data sets of torchvision: items and a list of targets."""

    def __init__(self, stream):
        items = [item for experience in stream for item in experience.dataset]
        self.x, self.targets = [item[0] for item in items], [int(item[1]) for item in items]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.targets[i]


TRAIN, TEST = Digits(STREAM.train_stream), Digits(STREAM.test_stream)


def of_classes(digits, *classes):
    rows = [i for i, y in enumerate(digits.targets) if y in classes]
    return torch.stack([digits.x[i] for i in rows]), torch.tensor([digits.targets[i] for i in rows])


def dataset(digits, *classes, labels=None):
    """An AvalancheDataset, with labels one for each class."""
    x, y = of_classes(digits, *classes)
    attributes = [DataAttribute(y.tolist(), "targets")]
    if labels is not None:
        label_of = dict(zip(classes, labels, strict=True))
        attributes.append(TaskLabels([label_of[int(each)] for each in y]))
    return AvalancheDataset([torch.utils.data.TensorDataset(x, y)], data_attributes=attributes)


def streams(*experiences):
    """Train and test stream with these classes and a task label for each."""
    made = {
        name: [dataset(digits, *label_of, labels=label_of.values()) for label_of in experiences]
        for name, digits in (("train", TRAIN), ("test", TEST))
    }
    benchmark = with_task_labels(benchmark_from_datasets(**made))
    return benchmark.train_stream, benchmark.test_stream


def parts(benchmark):
    return benchmark.train_stream, benchmark.test_stream


def unlabelled():
    made = {"train": [dataset(TRAIN, 0, 1), dataset(TRAIN, 2, 3)], "test": [dataset(TEST, 0, 1)]}
    return benchmark_from_datasets(**made)


def class_incremental():
    made = {"train": as_classification_dataset(TRAIN), "test": as_classification_dataset(TEST)}
    return class_incremental_benchmark(made, class_order=list(range(10)), num_experiences=5)


def from_tensors():
    pairs = [(0, 1), (2, 3), (4, 5)]
    return tensors_benchmark(
        train_tensors=[of_classes(TRAIN, *pair) for pair in pairs],
        test_tensors=[of_classes(TEST, *pair) for pair in pairs],
        task_labels=[0, 1, 2],
    )


def online(*, boundaries):
    stream = split_online_stream(
        STREAM.train_stream[:2], 60, access_task_boundaries=boundaries, seed=0
    )
    return with_task_labels(stream), STREAM.test_stream[:2]


def with_validation():
    benchmark = benchmark_with_validation_stream(STREAM, 0.2, shuffle=True, seed=0)
    assert not hasattr(benchmark.streams["train"][0], "task_labels")  # Avalanche loses them
    train, valid = (with_task_labels(benchmark.streams[name]) for name in ("train", "valid"))
    assert [len(e.dataset) for e in valid] == [len(e.dataset) // 5 for e in STREAM.train_stream]
    assert [e.task_label for e in valid] == [0, 1, 2, 3, 4]
    return train, valid


BENCHMARKS = {
    "nc_benchmark": lambda: parts(nc_benchmark(TRAIN, TEST, 5, True, shuffle=False)),
    "benchmark_from_datasets": lambda: streams({0: 7, 1: 7}, {2: 3, 3: 3}),
    "task_incremental_benchmark": lambda: parts(task_incremental_benchmark(unlabelled())),
    "class_incremental_benchmark": lambda: parts(task_incremental_benchmark(class_incremental())),
    "tensors_benchmark": lambda: parts(from_tensors()),
    "split_online_stream": lambda: online(boundaries=False),
    "split_online_stream, boundaries": lambda: online(boundaries=True),
    "benchmark_with_validation_stream": with_validation,
    "several experiences of a task": lambda: streams({0: 0, 1: 0}, {2: 0, 3: 0}, {4: 1, 5: 1}),
    "several tasks in an experience": lambda: streams({0: 0, 1: 1}, {2: 1, 3: 2}),
    "tasks that come back": lambda: streams({4: 2, 5: 2}, {0: 0, 1: 0}, {4: 2, 5: 2}, {2: 1, 3: 1}),
}


@pytest.mark.parametrize("kind", ["isolated", DELTA_IS_SLOW])
@pytest.mark.parametrize("row", BENCHMARKS)
def test_benchmark(row, kind):
    train, test = BENCHMARKS[row]()
    model = conditional(kind)
    is_online = "online" in row
    plugins = [FreezeSharedPlugin(), WarmStartPlugin()]  # ours read the task labels too
    strategy = strategy_of(model, *plugins, train_epochs=15 if is_online else 8)
    seen, probe = [], columns(STREAM.test_stream[4])[0]
    for experience in train:
        held = {task: model.eval()(probe, task).detach() for task in model.tasks}
        strategy.train(experience)
        labels = experience.task_labels
        seen += [label for label in labels if label not in seen]
        for task, before in held.items():
            assert task in labels or torch.allclose(model.eval()(probe, task), before, atol=1e-5)
    assert sorted(model.tasks) == sorted(seen)
    assert accuracy(model, experience) > 0.6  # of ten classes
    trained = [e for e in test if set(e.task_labels) <= set(seen)]
    strategy.eval(trained)
    assert model.tasks == seen


def test_one_task_for_all():
    benchmark = nc_benchmark(TRAIN, TEST, 5, False, shuffle=False)
    model = conditional()
    strategy = strategy_of(model)
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience)
    assert model.tasks == [0]
    assert accuracy(model, benchmark.train_stream[1]) > 0.6
    assert accuracy(model, benchmark.train_stream[0]) < 0.5  # nothing tells the tasks apart


def test_ni_benchmark():
    benchmark = ni_benchmark(TRAIN, TEST, 3, shuffle=True, seed=0)
    model = conditional()
    strategy, reached = strategy_of(model), []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        reached.append(accuracy(model, benchmark.test_stream[0]))
    assert model.tasks == [0]
    assert reached[-1] > max(0.8, reached[0])


@pytest.mark.parametrize("learner", ["Naive", "masked", "HSFStrategy"])
def test_no_task_labels(learner):
    strategy = {
        "Naive": lambda: strategy_of(conditional()),
        "masked": lambda: strategy_of(conditional(masking=True)),
        "HSFStrategy": reconstruction,
    }[learner]()
    with pytest.raises(ValueError, match=r"needs task labels.*with_task_labels"):
        strategy.train(unlabelled().train_stream[0])
    assert strategy.clock.train_iterations == 0


def test_task_labels_that_only_the_samples_have():
    model = conditional()
    sub_experience = next(iter(split_online_stream(STREAM.train_stream, 60)))
    strategy = strategy_of(model)
    with pytest.raises(ValueError, match=r"split_online_stream lose them: apply with_task_labels"):
        strategy.train(sub_experience)
    known = split_online_stream(STREAM.train_stream, 60, access_task_boundaries=True)
    with pytest.raises(TypeError, match=r"no task_labels: apply avalanche's with_task_labels"):
        strategy.train(next(iter(known)))


# Strategies

STRATEGIES = {
    "Naive": (Naive, {}),
    "Cumulative": (Cumulative, {}),
    "JointTraining": (JointTraining, {}),
    "Replay": (Replay, {"mem_size": 60}),
    # Importances are squares of gradients that have almost vanished by the end of a task.
    "EWC": (EWC, {"ewc_lambda": 1e10}),
    "LwF": (LwF, {"alpha": 10.0, "temperature": 2.0}),
    "GEM": (GEM, {"patterns_per_exp": 30}),
    "AGEM": (AGEM, {"patterns_per_exp": 30, "sample_size": 30}),
    "SynapticIntelligence": (SynapticIntelligence, {"si_lambda": 1e3}),
}


def trained_by(of, kind, options):
    """The model after three tasks, and its scores on the first one right after that."""
    model = conditional(kind)
    strategy = strategy_of(model, of=of, **options)
    tasks = STREAM.train_stream[:3]
    if of is JointTraining:
        strategy.train(tasks)
        return model, scores(model, tasks[0])
    strategy.train(tasks[0])
    first = scores(model, tasks[0])
    strategy.train(tasks[1:])
    return model, first


@functools.cache
def forgetful(kind):
    """The loss on the first task of a kind that nothing holds, after Naive."""
    model, _ = trained_by(Naive, kind, {})
    return loss_on(model, STREAM.train_stream[0])


@pytest.mark.parametrize("kind", ["isolated", "mlp", DELTA_IS_SLOW, CHUNKED_IS_SLOW])
@pytest.mark.parametrize("row", STRATEGIES)
def test_strategy(row, kind):
    model, first = trained_by(STRATEGIES[row][0], kind, STRATEGIES[row][1])
    assert model.tasks == [0, 1, 2]
    old, new = STREAM.train_stream[0], STREAM.train_stream[2]
    if kind in HOLD_OLD_TASKS:
        assert torch.allclose(scores(model, old), first, atol=1e-5)
        assert accuracy(model, old) > 0.9
    elif row == "SynapticIntelligence":
        assert loss_on(model, old) > 0.5 * forgetful(kind)  # see the row: it does nothing
    elif row != "Naive":
        assert loss_on(model, old) < 0.5 * forgetful(kind)
    assert accuracy(model, new) > 0.6  # of ten classes


def generator():
    vae = MlpVAE((1, 8, 8), nhid=2)
    return strategy_of(vae, criterion=lambda out, y: out[0].square().mean(), train_epochs=1)


@pytest.mark.parametrize("row", ["strategy", "plugin"])
def test_generative_replay(row):
    model = conditional("mlp")
    if row == "strategy":
        strategy = strategy_of(model, of=GenerativeReplay, generator_strategy=generator())
    else:
        strategy = strategy_of(model, GenerativeReplayPlugin(generator_strategy=generator()))
    strategy.train(STREAM.train_stream[0])  # there is nothing to replay yet
    with pytest.raises(TypeError, match=r"know no tasks: use ReplayPlugin or OutputReg"):
        strategy.train(STREAM.train_stream[1])


# Plugins of Avalanche's


class ClipGradients(SupervisedPlugin):
    """As a user would write it."""

    def __init__(self, largest):
        super().__init__()
        self.largest, self.norms = largest, []

    def before_update(self, strategy, **kwargs):
        torch.nn.utils.clip_grad_norm_(strategy.model.parameters(), self.largest)
        gradients = [p.grad for p in strategy.model.parameters() if p.grad is not None]
        self.norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))


class Noted(SupervisedPlugin):
    """Learning rates and numbers of evaluations, epoch by epoch."""

    def __init__(self):
        super().__init__()
        self.rates, self.evaluations = [], 0

    def before_training_epoch(self, strategy, **kwargs):
        self.rates.append(strategy.optimizer.param_groups[0]["lr"])

    def after_eval(self, strategy, **kwargs):
        self.evaluations += 1


@pytest.mark.filterwarnings("ignore:Metric .* used by the EarlyStopping")
@pytest.mark.parametrize("kind", EACH)
def test_early_stopping(kind):
    train, valid = with_validation()
    model = conditional(kind)
    stopping = EarlyStoppingPlugin(2, "valid_stream", metric_name="Loss_Stream", mode="min")
    evaluator = EvaluationPlugin(loss_metrics(stream=True), loggers=[])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    options = {"eval_every": 1, "train_epochs": 30, "evaluator": evaluator, "optimizer": optimizer}
    strategy = strategy_of(model, stopping, **options)
    for task in (0, 1, 0):  # a task that comes back, too
        evaluator.reset_last_metrics()  # the plugin looks at the metric that came last
        strategy.train(train[task], eval_streams=[valid[task : task + 1]])
        epochs = strategy.clock.train_exp_epochs
        assert 2 <= epochs < 30 and epochs == stopping.best_step + 2
        assert loss_on(model, valid[task]) == pytest.approx(float(stopping.best_val), rel=1e-4)
    assert (
        min(accuracy(model, valid[0]), accuracy(model, valid[1])) > 0.6
        or kind not in HOLD_OLD_TASKS
    )


@pytest.mark.parametrize("kind", EACH)
def test_lr_scheduler(kind):
    model = conditional(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    noted = Noted()
    plugins = LRSchedulerPlugin(scheduler), noted
    strategy = strategy_of(model, *plugins, optimizer=optimizer)
    for experience in STREAM.train_stream[:2]:
        strategy.train(experience)
    assert noted.rates[:5] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert noted.rates[8] == pytest.approx(0.1)
    # What came with the second task is in the optimizer, under the same rate.
    optimized = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in model.parameters() if p.requires_grad} <= optimized
    twice = strategy_of(conditional(), LRSchedulerPlugin(scheduler), CosineRestartPlugin())
    with pytest.raises(ValueError, match="both set the learning rate"):
        twice.train(STREAM.train_stream[0])


@pytest.mark.parametrize("kind", EACH)
def test_gradient_clipping(kind):
    model, clip = conditional(kind), ClipGradients(0.1)
    strategy = strategy_of(model, clip)
    for experience in STREAM.train_stream[:2]:
        strategy.train(experience)
    assert max(clip.norms) <= 0.1 * (1 + 1e-4)
    assert accuracy(model, STREAM.train_stream[1]) > 0.6


def test_ewc_plugin():
    model, plugin = conditional("mlp"), EWCPlugin(ewc_lambda=1.0)
    strategy = strategy_of(model, plugin, FreezeEmbeddingsPlugin())
    for experience in STREAM.train_stream[:2]:
        strategy.train(experience)
    name = "hypernetwork.trunk.0.weight"
    assert float(plugin.importances[0][name].data.sum()) > 0
    late = "hypernetwork.task_embedding.embeddings.1"
    assert late in plugin.importances[1] and late not in plugin.importances[0]


@pytest.mark.parametrize("kind", EACH)
def test_ewc_online(kind):
    plugin = EWCPlugin(ewc_lambda=1.0, mode="online", decay_factor=0.9)
    strategy = strategy_of(conditional(kind), plugin, train_epochs=1)
    with pytest.raises(AssertionError, match="importance computation"):
        strategy.train(STREAM.train_stream[:3])


@pytest.mark.parametrize("kind", HOLD_OLD_TASKS)
@pytest.mark.parametrize("row", ["LwFPlugin", "ReplayPlugin"])
def test_plugin_that_looks_back(row, kind):
    plugin = LwFPlugin() if row == "LwFPlugin" else ReplayPlugin(mem_size=60)
    model = conditional(kind, with_batch_norm)
    strategy = strategy_of(model, plugin)
    strategy.train(STREAM.train_stream[0])
    before = scores(model, STREAM.test_stream[0])
    strategy.train(STREAM.train_stream[1:3])
    # Neither weights nor batch-norm statistics of old tasks follow.
    assert torch.allclose(scores(model, STREAM.test_stream[0]), before, atol=1e-5)
    if row == "ReplayPlugin":
        buffer = plugin.storage_policy.buffer
        assert {int(label) for label in buffer.targets_task_labels} == {0, 1, 2}
        assert len(buffer) == 60
    else:
        assert set(plugin.lwf.prev_classes_by_task) == {0, 1, 2}


def test_lwf_and_statistics():
    model = conditional("mlp", with_batch_norm)
    strategy = strategy_of(model, LwFPlugin())
    strategy.train(STREAM.train_stream[0])
    before = {name: value.clone() for name, value in model.statistics(0).items()}
    strategy.train(STREAM.train_stream[1])
    assert all(torch.equal(value, before[name]) for name, value in model.statistics(0).items())


def test_synaptic_intelligence_plugin():
    plugin = SynapticIntelligencePlugin(si_lambda=1e3)
    strategy = strategy_of(conditional("mlp"), plugin)
    for experience in STREAM.train_stream[:2]:
        strategy.train(experience)
    importances = [float(each.data.abs().sum()) for each in plugin.ewc_data[1].values()]
    assert max(importances) == 0.0


# Evaluation


@pytest.mark.parametrize("kind", EACH)
@pytest.mark.parametrize("row", ["epoch", "iteration"])
def test_periodic_evaluation(row, kind):
    model, noted = conditional(kind), Noted()
    metric = accuracy_metrics(stream=True)
    evaluator = EvaluationPlugin(metric, loggers=[])
    options = {"eval_every": 1 if row == "epoch" else 4, "peval_mode": row, "train_epochs": 2}
    strategy = strategy_of(model, noted, evaluator=evaluator, **options)
    strategy.train(STREAM.train_stream[0], eval_streams=[STREAM.test_stream[:2]])
    iterations = strategy.clock.train_iterations
    # Before the first epoch, in between, and after the last iteration where those do not fall on it
    assert noted.evaluations == (1 + 2 if row == "epoch" else 1 + iterations // 4 + 1)
    assert model.training and model.tasks == [0]


@pytest.mark.parametrize("kind", EACH)
def test_tasks_never_trained(kind):
    model = conditional(kind)
    strategy = strategy_of(model, evaluator=EvaluationPlugin(accuracy_metrics(experience=True)))
    strategy.train(STREAM.train_stream[0])
    parameters = sum(p.numel() for p in model.parameters())
    results = strategy.eval(STREAM.test_stream)
    names = [f"Top1_Acc_Exp/eval_phase/test_stream/Task00{k}/Exp00{k}" for k in range(5)]
    assert set(names) <= set(results)
    assert results[names[0]] > 0.9 and results[names[4]] < 0.5
    assert model.tasks == [0] and sum(p.numel() for p in model.parameters()) == parameters
    if kind in HOLD_OLD_TASKS:
        x = columns(STREAM.test_stream[4])[0]
        assert torch.equal(model.eval()(x, 4), model(x, 0))


@pytest.mark.parametrize("kind", EACH)
def test_before_any_training(kind):
    model, other = conditional(kind), conditional(kind)
    strategy = strategy_of(model)
    torch.manual_seed(0)
    plain = network()
    strategy.eval(STREAM.test_stream)
    assert model.tasks == []
    x = columns(STREAM.test_stream[0])[0]
    assert kind not in HOLD_OLD_TASKS or torch.allclose(model.eval()(x, 0), plain(x), atol=1e-6)
    for each in (strategy, strategy_of(other)):
        torch.manual_seed(1)
        each.train(STREAM.train_stream[0])
    assert torch.equal(model.eval()(x, 0), other.eval()(x, 0))


@pytest.mark.parametrize("kind", EACH)
def test_metrics(kind):
    evaluator = EvaluationPlugin(
        accuracy_metrics(epoch=True, experience=True, stream=True),
        loss_metrics(epoch=True, experience=True),
        forgetting_metrics(experience=True, stream=True),
        bwt_metrics(experience=True, stream=True),
        timing_metrics(epoch=True),
        cpu_usage_metrics(epoch=True),
        loggers=[],
    )
    model = conditional(kind)
    strategy = strategy_of(model, evaluator=evaluator)
    for experience in STREAM.train_stream[:3]:
        strategy.train(experience)
        results = strategy.eval(STREAM.test_stream[:3])
    of_first = "eval_phase/test_stream/Task000/Exp000"
    of_training = "train_phase/train_stream/Task002"
    assert {
        *(f"{name}_Epoch/{of_training}" for name in ("Top1_Acc", "Loss", "Time", "CPUUsage")),
        *(f"{name}/{of_first}" for name in ("Top1_Acc_Exp", "Loss_Exp")),
        *(f"{name}/{of_first}" for name in ("ExperienceForgetting", "ExperienceBWT")),
        "StreamForgetting/eval_phase/test_stream",
        "StreamBWT/eval_phase/test_stream",
    } <= set(results)
    assert results[f"Top1_Acc_Exp/{of_first}"] == pytest.approx(
        accuracy(model, STREAM.test_stream[0])
    )
    forgotten = results["StreamForgetting/eval_phase/test_stream"]
    assert forgotten == 0 if kind in HOLD_OLD_TASKS else forgotten > 0


# Loggers


@pytest.mark.parametrize(
    "row", ["InteractiveLogger", "TextLogger", "CSVLogger", "TensorboardLogger"]
)
def test_logger(row, tmp_path, capsys):
    if row == "TensorboardLogger":
        pytest.importorskip("tensorboard")
    text = open(tmp_path / "log.txt", "w")  # noqa: SIM115
    logger = {
        "InteractiveLogger": InteractiveLogger,
        "TextLogger": lambda: TextLogger(text),
        "CSVLogger": lambda: CSVLogger(str(tmp_path)),
        "TensorboardLogger": lambda: TensorboardLogger(str(tmp_path)),
    }[row]()
    of_classes = accuracy_metrics(epoch=True, experience=True)
    of_inputs = mse_metrics(epoch=True, experience=True)
    for strategy in (
        strategy_of(conditional(), evaluator=EvaluationPlugin(of_classes, loggers=[logger])),
        reconstruction(evaluator=EvaluationPlugin(of_inputs, loggers=[logger])),
    ):
        strategy.train(STREAM.train_stream[0])
        strategy.eval(STREAM.test_stream[:2])
    text.close()
    if row == "CSVLogger":
        lines = (tmp_path / "eval_results.csv").read_text().splitlines()
        assert lines[0].startswith("eval_exp,training_exp,eval_accuracy")
        assert len(lines) == 1 + 4 and float(lines[1].split(",")[2]) > 0.9
        assert "MSE" not in "".join(lines)  # it knows its own columns alone
    elif row == "TensorboardLogger":
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("events.*"))
        assert b"Top1_Acc_Epoch" in written and b"MSE_Exp" in written
    else:
        written = capsys.readouterr().out if row == "InteractiveLogger" else Path(text.name)
        written = written if isinstance(written, str) else written.read_text()
        assert "Top1_Acc_Epoch" in written and "MSE_Exp/eval_phase/test_stream/Task001" in written


def test_wandb_logger(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    if hasattr(wandb.util, "generate_id"):
        pytest.skip("a wandb old enough for Avalanche 0.6")
    from avalanche.logging import WandBLogger

    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(AttributeError, match="generate_id"):
        WandBLogger(dir=str(tmp_path))


SERVICES = [pytest.param(n, marks=pytest.mark.slow) for n in ("MLflowLogger", "WandBLogger")]


@pytest.mark.parametrize("row", ["TidyCSVLogger", "JSONLinesLogger", *SERVICES])
def test_our_logger(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if row == "MLflowLogger":
        pytest.importorskip("mlflow")
    arguments = {
        "TidyCSVLogger": ("metrics.csv",),
        "JSONLinesLogger": ("metrics.jsonl",),
        "MLflowLogger": (f"sqlite:///{tmp_path}/mlflow.db",),
        "WandBLogger": (),
    }[row]
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = getattr(our_loggers, row)(*arguments)
    of_classes = accuracy_metrics(epoch=True, experience=True)
    of_inputs = mse_metrics(epoch=True, experience=True)
    for strategy in (
        strategy_of(conditional(), evaluator=EvaluationPlugin(of_classes, loggers=[logger])),
        reconstruction(evaluator=EvaluationPlugin(of_inputs, MSEMatrix(), loggers=[logger])),
    ):
        strategy.train(STREAM.train_stream[0])
        strategy.eval(STREAM.test_stream[:2])
    name = "MSE_Exp/eval_phase/test_stream/Task001/Exp001"
    if row == "MLflowLogger":
        logged = logger.client.get_run(logger.run_id).data.metrics
        logger.close()
        assert list(tmp_path.rglob("MSEMatrix"))
    elif row == "WandBLogger":
        logged = dict(logger.run.summary)
        logger.close()
        assert list(tmp_path.rglob("MSEMatrix"))
    else:
        with open(arguments[0]) as file:
            rows = list(csv.DictReader(file) if row == "TidyCSVLogger" else map(json.loads, file))
        assert "MSEMatrix" in {each["metric"] for each in rows}
        asked = ("MSE_Exp", "1", "1")
        found = (r for r in rows if (r["metric"], str(r["task"]), str(r["experience"])) == asked)
        logged = {name: float(next(found)["value"])}
    assert logged[name] == strategy.evaluator.get_last_metrics()[name]


# The reconstruction learner

SMALL = {
    **dict.fromkeys(("hidden_dim", "flow_hidden_dim", "sde_hidden_dim"), 16),
    "latent_dim": 8,
    **{"encoder_steps": 1, "decoder_steps": 1, "flow_layers": 2},
}


def reconstruction(*plugins, **options):
    given = {
        "input_dim": 64,
        "seed": 0,
        "model_options": SMALL,
        "optimizer_options": {"name": "AdamW", "lr": 1e-2},
        "train_mb_size": 45,
        "train_epochs": 5,
        "evaluator": None,
        "plugins": list(plugins),
    }
    torch.manual_seed(0)
    return HSFStrategy.from_preset(**{**given, **options})


def error_on(model, experience):
    x, _, t = columns(experience)
    with torch.no_grad():
        return float((model.eval()(x, t) - x).square().mean())


LEARNED = 0.07  # The variance of a pixel is 0.14; predicting its mean leaves 0.08.


@pytest.mark.parametrize("row", [*BENCHMARKS, "ni_benchmark"])
def test_reconstruction(row):
    if row == "ni_benchmark":
        train = ni_benchmark(TRAIN, TEST, 2, shuffle=True, seed=0).train_stream
    else:
        train, _ = BENCHMARKS[row]()
    strategy = reconstruction()
    chosen = list(train)[:4]
    for experience in chosen:
        strategy.train(experience)
        if experience is chosen[0]:
            first = error_on(strategy.model, experience)
    assert error_on(strategy.model, experience) < LEARNED
    if not any(set(chosen[0].task_labels) & set(later.task_labels) for later in chosen[1:]):
        now = error_on(strategy.model, chosen[0])
        assert now == pytest.approx(first, rel=0.05)  # up to the noise that every pass draws


@pytest.mark.filterwarnings("ignore:Metric .* used by the EarlyStopping")
def test_reconstruction_early_stopping():
    train, valid = with_validation()
    stopping = EarlyStoppingPlugin(2, "valid_stream", metric_name="MSE_Stream", mode="min")
    evaluator = EvaluationPlugin(mse_metrics(stream=True), loggers=[])
    constant = {"optimizer_options": {"name": "AdamW", "lr": 0.1}, "protections": []}
    options = {"eval_every": 1, "train_epochs": 40, "evaluator": evaluator, **constant}
    strategy = reconstruction(stopping, **options)
    for task in (0, 1):
        evaluator.reset_last_metrics()
        strategy.train(train[task], eval_streams=[valid[task : task + 1]])
        epochs = strategy.clock.train_exp_epochs
        assert epochs < 40 and epochs == stopping.best_step + 2
        # Up to the noise that every pass draws.
        now = error_on(strategy.model, valid[task])
        assert now == pytest.approx(float(stopping.best_val), rel=0.1)


def test_reconstruction_evaluated_on_the_way():
    weights = []
    for eval_every in (-1, 1):
        strategy = reconstruction(train_epochs=2, eval_every=eval_every)
        strategy.train(STREAM.train_stream[0], eval_streams=[STREAM.test_stream[:2]])
        weights.append(
            strategy.model.hypernetwork([0], "encoder.hidden_1")["encoder.hidden_1.weight"]
        )
    assert torch.equal(*weights)  # evaluation does not move the random generators


def test_reconstruction_with_stock_plugins():
    replay, clip = ReplayPlugin(mem_size=60), ClipGradients(0.5)
    strategy = reconstruction(replay, clip)
    for experience in STREAM.train_stream[:3]:
        strategy.train(experience)
    assert {int(label) for label in replay.storage_policy.buffer.targets_task_labels} == {0, 1, 2}
    assert max(clip.norms) <= 0.5 * (1 + 1e-4)
    assert error_on(strategy.model, STREAM.train_stream[2]) < LEARNED


# Our plugins


def test_freeze_shared_online():
    train, _ = online(boundaries=False)
    model = conditional(written=["3."])
    shared = model.module.get_parameter("1.weight")
    strategy = strategy_of(model, FreezeSharedPlugin(), train_epochs=1)
    moved = []
    for experience in train:
        before = shared.detach().clone()
        strategy.train(experience)
        moved.append((experience.task_label, not torch.equal(shared, before)))
    assert set(moved) == {(0, True), (1, False)}  # all parts of the first task train it


def test_generated_replay_plugin():
    stream = SplitDigits(5, shuffle=False, test_size=0.65, return_task_id=False).train_stream
    kept = []
    for with_replay in (False, True):
        torch.manual_seed(0)
        hsf = HSFStrategy.from_preset(input_dim=64, seed=0, train_epochs=40, evaluator=None)
        replay = GeneratedReplayPlugin(hsf.model, hsf, new_task="experience", seed=0)
        model = network()
        strategy = strategy_of(model, *([replay] if with_replay else []))
        for experience in stream[:2]:
            strategy.train(experience)
        x, y, _ = columns(stream[0])
        kept.append(float((model.eval()(x).argmax(dim=1) == y).float().mean()))
    assert kept[0] < 0.1
    assert kept[1] > 0.8


def _inferring(new_task, of=Naive):
    torch.manual_seed(0)
    hsf = HSFStrategy.from_preset(
        input_dim=64, seed=0, train_mb_size=48, train_epochs=12, evaluator=None
    )
    inference = TaskInferencePlugin(TaskRecognizer(hsf.model), hsf, new_task=new_task)
    matrix = ErrorRateMatrix()
    strategy = strategy_of(
        conditional(masking=True),
        CommitPlugin(),
        inference,
        of=of,
        evaluator=EvaluationPlugin(matrix, loggers=[]),
    )
    return strategy, inference, matrix


def test_task_inference_plugin():
    benchmark = SplitDigits(5, shuffle=False, return_task_id=False)
    strategy, _, matrix = _inferring("experience", Replay)
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience, eval_streams=[])
        strategy.eval(benchmark.test_stream[:2])
    errors = matrix.result()
    assert errors[1].mean() < 0.15
    assert errors[0, 1] > 0.8  # of classes that it has not seen


def test_task_inference_jointly():
    benchmark = SplitDigits(5, shuffle=False)
    strategy, inference, matrix = _inferring("label", JointTraining)
    strategy.train(benchmark.train_stream[:2], eval_streams=[])
    strategy.eval(benchmark.test_stream[:2])
    assert inference.recognizer.tasks == [0, 1]
    assert matrix.result()[0].mean() < 0.1
    strategy, *_ = _inferring("experience", JointTraining)
    with pytest.raises(ValueError, match="JointTraining shows plugins"):
        strategy.train(benchmark.train_stream[:2])


@pytest.mark.parametrize("kind", HOLD_OLD_TASKS)
def test_commit_online(kind):
    strategy = strategy_of(conditional(kind), CommitPlugin(), train_epochs=1)
    strategy.train(online(boundaries=False)[0])
    assert strategy.model.tasks == [0, 1]
    strategy = strategy_of(conditional(kind), CommitPlugin(), train_epochs=1)
    strategy.train(online(boundaries=True)[0])
    assert strategy.model.tasks == [0, 1]
    assert not any(strategy.model.hypernetwork.trains(task) for task in (0, 1))


def test_protections_jointly():
    model = conditional("mlp")
    plugins = OutputRegularizerPlugin(1e3), FreezeEmbeddingsPlugin(), FreezeSharedPlugin()
    strategy = strategy_of(model, *plugins, of=JointTraining)
    strategy.train(STREAM.train_stream[:3])
    assert all(p.requires_grad for p in model.parameters())
    assert min(accuracy(model, experience) for experience in STREAM.train_stream[:3]) > 0.6


# What users do besides


def test_as_multitask():
    torch.manual_seed(0)
    model = as_multitask(SimpleMLP(num_classes=10, input_size=64, hidden_size=16), "classifier")
    strategy = strategy_of(model, CosineRestartPlugin(), InMemoryLoadingPlugin())
    for experience in STREAM.train_stream[:2]:
        strategy.train(experience)
    assert accuracy(model, STREAM.train_stream[1]) > 0.9
    with pytest.raises(TypeError, match="MultiTaskModule already"):
        TaskConditional(model)
    with pytest.raises(AssertionError):
        as_multitask(conditional(), "module")


@pytest.mark.parametrize("kind", EACH)
def test_state_dict_in_mid_stream(kind):
    model = conditional(kind)
    strategy_of(model).train(STREAM.train_stream[:2])
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = TaskConditional(network(), hypernetwork=kind, hypernetwork_options=KINDS[kind])
    other.load_state_dict(torch.load(file))
    for each in (model, other):
        torch.manual_seed(1)
        strategy_of(each).train(STREAM.train_stream[2])
    for experience in STREAM.test_stream[:3]:  # as if it had never been away
        assert torch.equal(scores(other, experience), scores(model, experience))
    assert accuracy(other, STREAM.train_stream[2]) > 0.6


class Rewind(SupervisedPlugin):
    """Puts the state of the first epoch back before the third."""

    def before_training_epoch(self, strategy, **kwargs):
        if strategy.clock.train_exp_epochs == 0:
            self.state = copy.deepcopy(strategy.model.state_dict())
        elif strategy.clock.train_exp_epochs == 2:
            strategy.model.load_state_dict(self.state)


@pytest.mark.parametrize("kind", EACH)
def test_state_dict_in_training(kind):
    model = conditional(kind)
    strategy = strategy_of(model, Rewind(), train_epochs=7)
    strategy.train(STREAM.train_stream[:2])
    assert accuracy(model, STREAM.train_stream[1]) > 0.6  # the optimizer went on with it


@pytest.mark.parametrize("kind", EACH)
def test_deepcopy(kind):
    model = conditional(kind)
    strategy_of(model).train(STREAM.train_stream[0])
    before = scores(model, STREAM.test_stream[0])
    other = copy.deepcopy(model)
    strategy_of(other).train(STREAM.train_stream[1])
    assert (model.tasks, other.tasks) == ([0], [0, 1])
    assert torch.equal(scores(model, STREAM.test_stream[0]), before)


def end_of(strategy):
    for experience in STREAM.train_stream[1:3]:
        strategy.train(experience)
    return {n: v for n, v in strategy.model.state_dict().items() if torch.is_tensor(v)}


@pytest.mark.parametrize("kind", EACH)
def test_resume(kind, tmp_path):
    def begun():
        return strategy_of(conditional(kind), ReplayPlugin(20), train_epochs=1)

    strategy = begun()
    strategy.train(STREAM.train_stream[0])
    save(strategy, tmp_path, STREAM)
    whole, other = end_of(strategy), begun()
    assert resume(other, tmp_path) == 1
    again = end_of(other)
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[name], whole[name]) for name in whole)


@pytest.mark.parametrize("kind", EACH)
def test_whole_strategy(kind):
    strategy = strategy_of(conditional(kind), train_epochs=1)
    strategy.train(STREAM.train_stream[0])
    file = io.BytesIO()
    torch.save(strategy, file)
    file.seek(0)
    copies = [copy.deepcopy(strategy), torch.load(file, weights_only=False)]
    state = torch.random.get_rng_state()
    whole = end_of(strategy)
    for other in copies:
        torch.random.set_rng_state(state)
        again = end_of(other)
        assert all(torch.equal(again[name], whole[name]) for name in whole)


@pytest.mark.parametrize("kind", EACH)
def test_diverging(kind):
    strategy = strategy_of(conditional(kind), train_epochs=1)
    strategy.train(STREAM.train_stream[0])
    before = scores(strategy.model, STREAM.test_stream[0])
    strategy.optimizer.param_groups[0]["lr"] = float("inf")
    with pytest.raises(DivergedError):
        strategy.train(STREAM.train_stream[1])
    if kind in HOLD_OLD_TASKS:
        assert torch.equal(scores(strategy.model, STREAM.test_stream[0]), before)


def test_workers_and_device():
    weights = []
    for options in ({}, {"num_workers": 1, "persistent_workers": True}):
        model = conditional()
        strategy = strategy_of(model, device=torch.device("cpu"), train_epochs=1)
        strategy.train(STREAM.train_stream[0], **options)
        strategy.eval(STREAM.test_stream[:1], **options)
        weights.append(model.hypernetwork([0])["3.weight"])
    assert torch.equal(*weights)
    assert strategy_of(conditional(), device="cpu").device == torch.device("cpu")


def test_save_checkpoint(tmp_path):
    strategy = strategy_of(conditional(), train_epochs=1)
    strategy.train(STREAM.train_stream[0])
    try:
        save_checkpoint(strategy, tmp_path / "strategy")
    except Exception as error:
        assert "sentinel" in str(error)
    else:
        pytest.skip("a torch that Avalanche 0.6 can pickle")


@pytest.mark.parametrize("kind", HOLD_OLD_TASKS)
def test_optimizer_lets_go(kind):
    model = conditional(kind)
    strategy = strategy_of(model, train_epochs=1)
    for experience in STREAM.train_stream[:4]:
        strategy.train(experience, remove_params=True)
    optimized = [p for group in strategy.optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in optimized} == {id(p) for p in model.parameters()}
    assert len(strategy.optimizer.state) <= len(optimized)


# Modules and criteria


class Returns(nn.Module):
    """A linear layer, and what a function makes of its output."""

    def __init__(self, function):
        super().__init__()
        self.linear, self.function = nn.Linear(2, 3), function

    def forward(self, x):
        return self.function(self.linear(x))


@pytest.mark.parametrize("vectorized", [True, False])
def test_outputs_of_a_module(vectorized):
    def of(function):
        torch.manual_seed(0)
        model = TaskConditional(Returns(function), vectorized=vectorized, seed=0)
        model.hypernetwork.begin([0, 1])
        return model

    x, t = torch.rand(7, 2), torch.tensor([1, 0, 0, 1, 0, 0, 1])
    out = of(lambda y: {"y": y, "parts": (y[:, 0], 2 * y)})(x, t)
    assert torch.equal(out["parts"][0], out["y"][:, 0])
    assert torch.allclose(out["y"], of(lambda y: y)(x, t))
    for labels in (t, 0):
        with pytest.raises(ValueError, match=r"returned shape \(3,\) .* one row for each"):
            of(lambda y: y.mean(dim=0))(x, labels)


def test_an_output_that_changes_its_shape():
    widths = iter([3, 3, 2])
    module = Returns(lambda y: y[:, : next(widths)])
    model = TaskConditional(module, vectorized=False, seed=0)
    model.hypernetwork.begin([0, 1])
    assert model(torch.rand(2, 2), 0).shape == (2, 3)
    with pytest.raises(ValueError, match=r"another shape from task to task, \[\[\(3,\)\], \[\(2,"):
        model(torch.rand(2, 2), torch.tensor([0, 1]))


def test_a_module_that_grows():
    model = conditional()
    strategy = strategy_of(model)
    strategy.train(STREAM.train_stream[0])
    model.module[3] = nn.Linear(32, 20)
    with pytest.raises(ValueError, match=r"3.weight was written .* now has shape \(20, 32\)"):
        strategy.train(STREAM.train_stream[1])


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("row", ["MSELoss with classes", "CrossEntropyLoss with vectors"])
def test_criterion_that_does_not_fit(row):
    model = conditional()
    if row == "MSELoss with classes":
        strategy = strategy_of(model, criterion=nn.MSELoss())
        experience, message = STREAM.train_stream[0], "size of tensor a .* must match"
    else:
        x = of_classes(TRAIN, 0)[0]
        data = AvalancheDataset(
            [torch.utils.data.TensorDataset(x, torch.rand(len(x), 3))],
            data_attributes=[TaskLabels([0] * len(x))],
        )
        benchmark = with_task_labels(benchmark_from_datasets(train=[data], test=[data]))
        strategy, experience = strategy_of(model), benchmark.train_stream[0]
        message = "multi-target not supported"
    with pytest.raises((RuntimeError, ValueError), match=message):
        strategy.train(experience)
    assert strategy.clock.train_iterations == 0


# The document


def rows_of(text):
    """The last cell of every row of every table: what tests it."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[-1] != "test" and not set(cells[-1]) <= set("-: "):
            yield from (test for test in re.findall(r"`([^`]+)`", cells[-1]) if "zoo[" not in test)


def named(row):
    """A value of a parameter, which may be marked."""
    return row.values[0] if hasattr(row, "marks") else row


def named_tests():
    """Every test of this file, one for each value of its parameter `row`."""
    for name, test in vars(sys.modules[__name__]).items():
        if not name.startswith("test_") or name == "test_document":
            continue
        parametrized = (m for m in getattr(test, "pytestmark", ()) if m.name == "parametrize")
        marks = {mark.args[0]: mark.args[1] for mark in parametrized}
        yield from (f"{name}[{named(row)}]" for row in marks["row"]) if "row" in marks else [name]


def test_document():
    document = (Path(__file__).parents[1] / "docs/pipelines.md").read_text()
    in_rows = list(rows_of(document))
    assert set(in_rows) == set(named_tests())
    for line in document.splitlines():
        if line.startswith("| ") and not line.startswith("| what"):
            assert line.split("|")[2].strip() in ("works", "works, note", "cannot"), line
            assert re.search("`(test_|zoo)", line.split("|")[-2]), line
