"""Pipelines by name, as a user's script would make them: each call anew, from the same seed."""

import functools

import torch
from avalanche.benchmarks import nc_benchmark
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics, forgetting_metrics, loss_metrics
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training import supervised
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import (
    EarlyStoppingPlugin,
    EvaluationPlugin,
    EWCPlugin,
    LRSchedulerPlugin,
    LwFPlugin,
    ReplayPlugin,
)
from avalanche.training.storage_policy import ClassBalancedBuffer
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import TensorDataset

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.evaluation import ErrorRateMatrix, MSEMatrix
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    CommitPlugin,
    HSFStrategy,
    OutputRegularizerPlugin,
    RawReplayPlugin,
    WarmStartPlugin,
    make_optimizer,
)

EPOCHS = 3
FEATURES, CLASSES = 9, 6


def classes(*, transformed=False):
    """Three experiences of two classes and 40 samples; transformed ones draw random numbers."""
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(CLASSES).repeat(40)
    x = torch.randn(len(y), FEATURES, generator=generator) + y[:, None] / 3
    train, test = (Labelled(x[part], y[part]) for part in (slice(0, 120), slice(120, None)))
    noisy = {"train_transform": Noisy(), "eval_transform": None} if transformed else {}
    return nc_benchmark(train, test, 3, task_labels=True, seed=0, **noisy)


class Labelled(TensorDataset):
    def __init__(self, x, y):
        super().__init__(x, y)
        self.targets = y.tolist()


class Noisy:
    def __call__(self, x):
        return x + 0.1 * torch.randn(x.shape)


def network():
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, CLASSES))


def normalized():
    return nn.Sequential(
        nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES)
    )


def incremental():
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), IncrementalClassifier(8, 2))


def several_heads():
    return MTSimpleMLP(input_size=FEATURES, hidden_size=8)


def sgd(parameters):
    return SGD(parameters, 0.05, momentum=0.9)


def adam(parameters):
    return AdamW(parameters, 1e-2)


def soap(parameters):
    return make_optimizer(parameters, {"name": "SOAP", "lr": 1e-2})


def evaluator_of(matrix, *more):
    return EvaluationPlugin(matrix, *more, loggers=[])


def stock(
    name, *, model=network, optimizer=sgd, plugins=lambda optimizer: [], stream=classes, **options
):
    def make(further=()):
        RNGManager.set_random_seeds(3)
        net = model()
        of_net = optimizer(net.parameters())
        evaluator = evaluator_of(
            ErrorRateMatrix(),
            accuracy_metrics(epoch=True, stream=True),
            loss_metrics(epoch=True, experience=True),
            forgetting_metrics(experience=True, stream=True),
        )
        strategy = getattr(supervised, name)(
            model=net,
            optimizer=of_net,
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=EPOCHS,
            eval_mb_size=64,
            evaluator=evaluator,
            plugins=[*plugins(of_net), *further],
            **options,
        )
        return strategy, stream()

    return make


def conditional(hypernetwork, optimizer, *plugins, model=normalized, **options):
    def made(of_net):
        return [CommitPlugin(), WarmStartPlugin(), *(plugin() for plugin in plugins)]

    def wrapped():
        return TaskConditional(
            model(), hypernetwork=hypernetwork, hypernetwork_options=options, seed=1
        )

    return stock("Naive", model=wrapped, optimizer=optimizer, plugins=made)


def preset(name, *plugins, optimizer=None, **options):
    def make(further=()):
        RNGManager.set_random_seeds(3)
        strategy = HSFStrategy.from_preset(
            name,
            input_dim=3,
            seed=1,
            train_epochs=6,
            evaluator=evaluator_of(MSEMatrix()),
            plugins=[*(plugin() for plugin in plugins), *further],
            optimizer_options=optimizer,
            **options,
        )
        return strategy, SyntheticManifolds(n_samples=20)

    return make


def scheduled(scheduler, **options):
    def plugins(optimizer):
        return [LRSchedulerPlugin(scheduler(optimizer), **options)]

    return stock("Naive", plugins=plugins)


def class_balanced():
    return ReplayPlugin(30, storage_policy=ClassBalancedBuffer(30))


EWC = functools.partial(EWCPlugin, 1.0)
REPLAY = functools.partial(ReplayPlugin, 30)
REGULARIZER = functools.partial(OutputRegularizerPlugin, n_tasks=1, lookahead=True)
RAW = functools.partial(RawReplayPlugin, 1.0, every=1)
SMALL = {"embedding_dim": 4}

OURS = {
    f"{kind} {with_name} {name}": conditional(kind, optimizer, *plugins, **options)
    for kind, options in (("isolated", {}), ("delta", {"size": 2}))
    for with_name, optimizer in (("adam", adam), ("soap", soap))
    for name, plugins in {"": (), "ewc": (EWC,), "replay": (REPLAY,), "lwf": (LwFPlugin,)}.items()
} | {
    "mlp regularized": conditional("mlp", adam, REGULARIZER, RAW, model=network, **SMALL),
    "chunked regularized": conditional("chunked", adam, REGULARIZER, RAW, model=network, **SMALL),
    "paper's kind replay": conditional("paper", adam, REPLAY, model=network, **SMALL),
}
STOCK = {
    "naive": stock("Naive"),
    "ewc": stock("EWC", ewc_lambda=1.0),
    "ewc online": stock("EWC", ewc_lambda=1.0, mode="online", decay_factor=0.5),
    "si": stock("SynapticIntelligence", si_lambda=1.0),
    "mas": stock("MAS"),
    "lwf": stock("LwF", alpha=1.0, temperature=2.0),
    "replay": stock("Replay", mem_size=30),
    "replay of transformed samples": stock(
        "Replay", mem_size=30, stream=functools.partial(classes, transformed=True)
    ),
    "balanced replay": stock("Naive", plugins=lambda optimizer: [class_balanced()]),
    "gem": stock("GEM", patterns_per_exp=10),
    "agem": stock("AGEM", patterns_per_exp=10, sample_size=10),
    "mir": stock("MIR", mem_size=30, batch_size_mem=8, subsample=10),
    "der": stock("DER", mem_size=30, batch_size_mem=8),
    "er-ace": stock("ER_ACE", mem_size=30, batch_size_mem=8),
    "gdumb": stock("GDumb", mem_size=30),
    "cumulative": stock("Cumulative"),
    "cwr*": stock("CWRStar", cwr_layer_name=None),
    "several heads": stock("EWC", model=several_heads, ewc_lambda=1.0),
    "several heads lwf": stock("LwF", model=several_heads, alpha=1.0, temperature=2.0),
    "incremental classifier": stock("Naive", model=incremental, optimizer=adam),
    "early stopping": stock(
        "Naive",
        eval_every=1,
        plugins=lambda optimizer: [
            EarlyStoppingPlugin(1, "train_stream", metric_name="Top1_Acc_Exp")
        ],
    ),
    "step": scheduled(lambda optimizer: StepLR(optimizer, 2, 0.5)),
    "lambda": scheduled(lambda optimizer: LambdaLR(optimizer, lambda epoch: 0.9**epoch)),
    "plateau": scheduled(
        lambda optimizer: ReduceLROnPlateau(optimizer, patience=0), metric="train_loss"
    ),
    "one cycle": scheduled(
        lambda optimizer: OneCycleLR(optimizer, 0.1, total_steps=50),
        reset_scheduler=False,
        reset_lr=False,
    ),
}
HSF = {name: preset(name) for name in ("paper", "repaired", "isolated", "compact")}
PIPELINES = {**STOCK, **OURS, **HSF}


class Stopped(Exception):
    """In place of a kill."""


class Stop(SupervisedPlugin):
    """Ends the process, or what stands for it, at the n-th training iteration, counted from 1."""

    n_iterations = 0

    def __init__(self, at=0, how=Stopped):
        super().__init__()
        self.at, self.how = at, how
        type(self).n_iterations = 0

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        """It goes on counting."""

    def before_training_iteration(self, strategy, **kwargs):
        type(self).n_iterations += 1
        if type(self).n_iterations == self.at:
            raise self.how


def go_through(strategy, stream, start=0):
    """What a user's script does."""
    for experience in stream.train_stream[start:]:
        strategy.train(experience)
        strategy.eval(stream.test_stream)
    return result_of(strategy)


def result_of(strategy):
    """Every metric that was measured, the whole model, and what the next random number would be."""
    metrics = {
        name: [iterations, [torch.as_tensor(value).double() for value in values]]
        for name, (iterations, values) in strategy.evaluator.get_all_metrics().items()
    }
    state = {n: v for n, v in strategy.model.state_dict().items() if isinstance(v, torch.Tensor)}
    return {"metrics": metrics, "model": state, "next": torch.rand(1)}


def equal(a, b):
    """To the bit, NaN being equal to NaN."""
    if isinstance(a, torch.Tensor):
        return torch.equal(torch.nan_to_num(a, 7.0), torch.nan_to_num(b, 7.0))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b
