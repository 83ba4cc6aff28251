"""Presets' protections under every strategy, and in pipelines as people have them."""

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, with_task_labels
from avalanche.benchmarks.utils import AvalancheDataset
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
    LwF,
    Naive,
    Replay,
    SynapticIntelligence,
)
from avalanche.training.plugins import EvaluationPlugin, EWCPlugin, RWalkPlugin
from torch import nn
from torch.utils.data import Dataset

from avalanche_hsf.analysis import ModelRecorderPlugin, attribute_run
from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import (
    CommitPlugin,
    RawReplayPlugin,
    WarmStartPlugin,
    get_preset,
    make_protections,
)

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated")
STREAM = SplitDigits(5, shuffle=False, test_size=0.65)
STRATEGIES = {
    "Naive": (Naive, {}),
    "Cumulative": (Cumulative, {}),
    "JointTraining": (JointTraining, {}),
    "Replay": (Replay, {"mem_size": 60}),
    "EWC": (EWC, {"ewc_lambda": 1.0}),
    "MAS": (MAS, {}),
    "LwF": (LwF, {"alpha": 1.0, "temperature": 2.0}),
    "GEM": (GEM, {"patterns_per_exp": 30}),
    "AGEM": (AGEM, {"patterns_per_exp": 30, "sample_size": 30}),
    "SynapticIntelligence": (SynapticIntelligence, {"si_lambda": 1.0}),
}


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def learner(preset, of=Naive, *, last=False, module=network, optimizer=None, **options):
    """As in the README, with the protections first or last among the plugins."""
    torch.manual_seed(0)
    preset = get_preset(preset)
    model = TaskConditional(module(), **preset.hypernetwork, masking=True, seed=0)
    protections = make_protections(preset.protections)
    plugins = options.pop("plugins", [])
    given = {
        "model": model,
        "optimizer": optimizer(model)
        if optimizer
        else torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4),
        "criterion": nn.CrossEntropyLoss(),
        "train_mb_size": 16,
        "train_epochs": 4,
        "eval_mb_size": 1000,
        "plugins": [*plugins, *protections] if last else [*protections, *plugins],
        "evaluator": EvaluationPlugin(loggers=[]),
    }
    return of(**{**given, **options})


def naive(model, optimizer, *plugins, epochs):
    return Naive(
        model=model,
        optimizer=optimizer,
        criterion=nn.CrossEntropyLoss(),
        plugins=list(plugins),
        evaluator=EvaluationPlugin(loggers=[]),
        train_mb_size=16,
        train_epochs=epochs,
    )


@torch.no_grad()
def scores(model, experience):
    dataset = experience.dataset.eval()
    x, y, *_, t = dataset.collate_fn([dataset[i] for i in range(len(dataset))])
    return model.eval()(x, t), y


def holds(strategy, stream=STREAM, tasks=3, least=0.9):
    """Trains some tasks; none moves once it is done, and each is learned."""
    before = []
    for experience in stream.train_stream[:tasks]:
        strategy.train(experience)
        for old, out in before:
            assert torch.allclose(scores(strategy.model, old)[0], out, atol=2e-5)
        out, y = scores(strategy.model, experience)
        assert float((out.argmax(dim=1) == y).float().mean()) > least
        before.append((experience, out))


def with_every_strategy():
    """Each strategy with each preset and each order; a half of them quick, as a chessboard."""
    for i, row in enumerate(STRATEGIES):
        for j, preset in enumerate(("compact", "isolated")):
            for last in (False, True):
                quick = (i + j + last) % 2 == 0
                marks = [] if quick else [pytest.mark.slow]
                yield pytest.param(row, preset, last, marks=marks)


@pytest.mark.parametrize(("row", "preset", "last"), with_every_strategy())
def test_protections_under_every_strategy(row, preset, last):
    of, options = STRATEGIES[row]
    strategy = learner(preset, of, last=last, **options)
    if of is JointTraining:
        strategy.train(STREAM.train_stream[:3])
        for experience in STREAM.train_stream[:3]:
            out, y = scores(strategy.model, experience)
            assert float((out.argmax(dim=1) == y).float().mean()) > 0.6
        return
    holds(strategy)


REFUSED = {
    "RWalkPlugin": (RWalkPlugin, "RWalkPlugin contradict each other: .* Use EWCPlugin"),
    "EWCPlugin(mode='online')": (
        lambda: EWCPlugin(1.0, mode="online", decay_factor=0.5),
        'Use mode="separate"',
    ),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("row", REFUSED)
def test_what_cannot_go_with_weights_for_each_task_is_refused_before_training(row, last):
    make, cure = REFUSED[row]
    strategy = learner("isolated", last=last, plugins=[make()])
    with pytest.raises(ValueError, match=cure):
        strategy.train(STREAM.train_stream[0])
    assert strategy.clock.train_iterations == 0


class Accumulates(SupervisedPlugin):
    """Steps once in two minibatches."""

    def before_update(self, strategy, **kwargs):
        self.step = strategy.optimizer.step
        if strategy.clock.train_epoch_iterations % 2 == 0:
            strategy.optimizer.step = lambda *args: None

    def after_update(self, strategy, **kwargs):
        strategy.optimizer.step = self.step


class InHalfPrecision(Naive):
    """The forward pass under autocast, as its documentation has it."""

    def forward(self):
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward()


def with_batch_norm():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Linear(32, 10))


def with_groups(model):
    """Weights with decay, biases without."""
    parameters = dict(model.named_parameters())
    groups = [[p for n, p in parameters.items() if ("bias" in n) == bias] for bias in (0, 1)]
    return torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.01}, {"params": groups[1], "weight_decay": 0}],
        lr=0.01,
    )


@pytest.mark.parametrize("preset", ["compact", "isolated"])
@pytest.mark.parametrize("module", [network, with_batch_norm])
def test_autocast(preset, module):
    strategy = learner(preset, InHalfPrecision, module=module)
    first = STREAM.train_stream[0]
    strategy.train(first)
    written = strategy.model.write(0, 1).weights
    strategy.train(STREAM.train_stream[1])
    with torch.autocast("cpu", torch.bfloat16):
        now = strategy.model.write(0, 1).weights
    for name, value in written.items():
        assert now[name].dtype == torch.float32
        assert torch.allclose(now[name], value, atol=1e-6)
    holds(strategy, tasks=1)


@pytest.mark.parametrize("preset", ["compact", "isolated"])
def test_gradient_accumulation_workers_and_momentum(preset):
    holds(learner(preset, plugins=[Accumulates()], train_epochs=8))
    strategy = learner(preset)
    for experience in STREAM.train_stream[:2]:
        strategy.train(experience, num_workers=2)
    assert scores(strategy.model, STREAM.train_stream[0])[0].isfinite().all()


@pytest.mark.parametrize("kind", ["isolated", "delta", "mlp", "chunked"])
def test_new_weights_join_the_group_of_those_they_continue(kind):
    torch.manual_seed(0)
    model = TaskConditional(with_batch_norm(), hypernetwork=kind, masking=True, seed=0)
    optimizer = with_groups(model)
    strategy = naive(model, optimizer, epochs=1)
    for experience in STREAM.train_stream:
        strategy.train(experience)
        where = {
            id(p): g for g, group in enumerate(optimizer.param_groups) for p in group["params"]
        }
        for name, parameter in model.named_parameters():
            embedding = "embedding" in name
            assert where[id(parameter)] == (0 if embedding else int("bias" in name)), name


def test_a_trunk_of_its_own_rate():
    """The rate of the written head, in its group of its own, trains later tasks too."""
    torch.manual_seed(0)
    model = TaskConditional(network(), written=["3."], masking=True, seed=0)
    optimizer = torch.optim.AdamW(
        [
            {"params": model.module.parameters(), "lr": 1e-5},
            {"params": model.hypernetwork.parameters(), "lr": 1e-2},
        ]
    )
    strategy = naive(model, optimizer, epochs=4)
    for experience in STREAM.train_stream:
        strategy.train(experience)
        out, y = scores(model, experience)
        assert float((out.argmax(dim=1) == y).float().mean()) > 0.85
    assert {len(group["params"]) for group in optimizer.param_groups} >= {2}


@pytest.mark.parametrize("kind", ["isolated", "delta"])
def test_an_optimizer_made_after_loading(kind):
    model = TaskConditional(network(), hypernetwork=kind, masking=True, seed=0)
    strategy = naive(model, torch.optim.Adam(model.parameters(), lr=0.01), CommitPlugin(), epochs=3)
    strategy.train(STREAM.train_stream[:2])
    loaded = TaskConditional(network(), hypernetwork=kind, masking=True, seed=0)
    loaded.load_state_dict(model.state_dict())
    again = naive(loaded, torch.optim.Adam(loaded.parameters(), lr=0.01), CommitPlugin(), epochs=3)
    before = scores(model, STREAM.train_stream[0])[0]
    again.train(STREAM.train_stream[2])
    out, y = scores(loaded, STREAM.train_stream[2])
    assert float((out.argmax(dim=1) == y).float().mean()) > 0.85
    assert torch.allclose(scores(loaded, STREAM.train_stream[0])[0], before, atol=1e-5)


# Data as people have them


class Sequences(Dataset):
    """Sequences of unequal length, to be padded, and a class."""

    def __init__(self, first):
        generator = torch.Generator().manual_seed(first)
        lengths = torch.randint(2, 7, (40,), generator=generator).tolist()
        self.targets = [int(k % 2) + first for k in range(40)]
        self.items = [
            torch.randn(n, 3, generator=generator) + (2.0 if k % 2 else -2.0)
            for k, n in enumerate(lengths)
        ]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i], self.targets[i]


def collate(samples):
    x = nn.utils.rnn.pad_sequence([sample[0] for sample in samples], batch_first=True)
    lengths = torch.tensor([len(sample[0]) for sample in samples])
    rest = [torch.tensor(column) for column in list(zip(*samples, strict=True))[1:]]
    return [Batch(x=x, lengths=lengths), *rest]


class Batch(dict):
    """A dictionary of tensors that moves between devices, as Avalanche asks of an input."""

    def to(self, device, **_):
        return Batch({name: tensor.to(device) for name, tensor in self.items()})


class OfSequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 8, batch_first=True)
        self.out = nn.Linear(8, 4)

    def forward(self, x):
        hidden = self.rnn(x["x"])[0]
        last = (x["lengths"] - 1).view(-1, 1, 1).expand(-1, 1, 8)
        return self.out(hidden.gather(1, last).squeeze(1))


def sequences():
    def data(task):
        dataset = Sequences(2 * task)
        return AvalancheDataset(
            [dataset], data_attributes=[TaskLabels([task] * 40)], collate_fn=collate
        )

    experiences = [data(task) for task in range(2)]
    return with_task_labels(benchmark_from_datasets(train=experiences, test=experiences))


@pytest.mark.parametrize("kind", ["isolated", "delta", "mlp", "chunked"])
def test_padded_sequences_in_dictionaries(kind):
    torch.manual_seed(0)
    stream = sequences()
    model = TaskConditional(OfSequences(), hypernetwork=kind, seed=0)
    recorder = ModelRecorderPlugin()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.02),
        criterion=nn.CrossEntropyLoss(),
        plugins=[WarmStartPlugin(), RawReplayPlugin(every=1, batch_size=8), recorder],
        evaluator=EvaluationPlugin(loss_metrics(stream=True), loggers=[]),
        train_mb_size=16,
        train_epochs=6,
        eval_mb_size=40,
    )
    holds(strategy, stream, tasks=2) if kind in ("isolated", "delta") else strategy.train(
        stream.train_stream
    )
    (attribution,) = attribute_run(recorder, stream.test_stream)
    assert attribution.before < 0.3


class Jittered(Dataset):
    def __init__(self):
        self.targets = [k % 2 for k in range(20)]

    def __len__(self):
        return 20

    def __getitem__(self, i):
        return torch.full((3,), float(i)), self.targets[i]


def test_replayed_inputs_have_the_training_transformations():
    seen = []

    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(3, 2)

        def forward(self, x):
            if self.training:
                seen.append(x.detach().clone())
            return self.out(x)

    groups = {"train": (lambda x: x + 1000, None), "eval": (lambda x: x - 1000, None)}
    data = [
        AvalancheDataset(
            [Jittered()], data_attributes=[TaskLabels([task] * 20)], transform_groups=groups
        )
        for task in range(2)
    ]
    stream = with_task_labels(benchmark_from_datasets(train=data, test=data))
    model = TaskConditional(Looks(), seed=0)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1e-9),
        criterion=nn.CrossEntropyLoss(),
        plugins=[RawReplayPlugin(every=1)],
        evaluator=EvaluationPlugin(loggers=[]),
        train_mb_size=20,
    )
    strategy.train(stream.train_stream)
    assert len(seen) >= 3 and all(float(x.min()) >= 1000 for x in seen)


def test_the_error_that_attribution_measures_is_the_strategys():
    torch.manual_seed(0)
    x = torch.randn(60, 4)
    targets = [(x @ torch.randn(4, 3) > 0).float() for _ in range(2)]
    data = [
        AvalancheDataset(
            [torch.utils.data.TensorDataset(x, y)], data_attributes=[TaskLabels([task] * 60)]
        )
        for task, y in enumerate(targets)
    ]
    stream = with_task_labels(benchmark_from_datasets(train=data, test=data))
    model, recorder = nn.Linear(4, 3), ModelRecorderPlugin()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        criterion=nn.BCEWithLogitsLoss(),
        plugins=[recorder],
        evaluator=EvaluationPlugin(loggers=[]),
        train_mb_size=20,
        train_epochs=20,
    )
    strategy.train(stream.train_stream)
    (attribution,) = attribute_run(recorder, stream.test_stream)
    with torch.no_grad():
        error = nn.BCEWithLogitsLoss()(recorder.models[-1](x), targets[0])
    assert attribution.after == pytest.approx(float(error), rel=1e-5)
    with pytest.raises(ValueError, match="give criterion="):
        recorder.criterion = None
        attribute_run(recorder, stream.test_stream)


def test_targets_of_more_parts():
    x, t = torch.randn(40, 4), TaskLabels([0] * 40)
    data = AvalancheDataset(
        [torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long(), torch.arange(40), x)],
        data_attributes=[t],
    )
    stream = with_task_labels(benchmark_from_datasets(train=[data], test=[data]))
    model, recorder = TaskConditional(nn.Linear(4, 2), seed=0), ModelRecorderPlugin()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        criterion=nn.CrossEntropyLoss(),
        plugins=[recorder, WarmStartPlugin(), RawReplayPlugin(every=1)],
        evaluator=EvaluationPlugin(loggers=[]),
        train_mb_size=20,
    )
    strategy.train(stream.train_stream)
    strategy.train(stream.train_stream)
    assert len(attribute_run(recorder, [stream.test_stream[0]] * 2)) == 1


def test_a_hypernetwork_far_larger_than_its_network_says_so():
    with pytest.warns(UserWarning, match=r"mlp.* numbers, .* times .*hidden_dims"):
        TaskConditional(nn.Linear(1000, 400), hypernetwork="mlp", seed=0)


@pytest.mark.parametrize("preset", ["compact", "isolated"])
def test_inputs_of_an_absurd_scale_are_explained(preset):
    from avalanche_hsf.benchmarks import reconstruction_benchmark
    from avalanche_hsf.training import HSFStrategy

    stream = reconstruction_benchmark([1e9 * torch.randn(30, 3) for _ in range(2)])
    strategy = HSFStrategy.from_preset(preset, input_dim=3, seed=0, train_epochs=30)
    with pytest.raises(ValueError, match="diverged"):
        strategy.train(stream.train_stream)


def test_reductions():
    from avalanche_hsf.analysis import error_on

    experience = STREAM.test_stream[0]
    model = network()
    mean = error_on(experience)(model)
    for reduction in ("none", "sum", "mean"):
        of = error_on(experience, nn.CrossEntropyLoss(reduction=reduction), mb_size=50)
        assert of(model) == pytest.approx(mean, rel=1e-5)
