"""TaskConditional: the same questions to every kind of main network and of hypernetwork."""

import copy
import io

import pytest
import torch
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.nn.functional import cross_entropy, relu

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.models import HYPERNETWORKS, TaskConditional

KINDS = {
    "paper": ("paper", {"embedding_dim": 4}),
    "mlp": ("mlp", {"embedding_dim": 4, "hidden_dims": (8,)}),
    "chunked": ("chunked", {"embedding_dim": 4, "chunk_embedding_dim": 3, "chunk_size": 100}),
    "isolated": ("isolated", {}),
    "delta, low-rank": ("delta", {"adapter": "low-rank", "size": 2}),
    "delta, scale": ("delta", {"adapter": "scale"}),
    "delta, core": ("delta", {"adapter": "core", "size": 9}),
}
assert {kind for kind, _ in KINDS.values()} == set(HYPERNETWORKS)


class Residual(nn.Module):
    """A residual block with batch norm, as ResNets have."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return relu(x + self.norm(self.conv(x)))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


def cnn():
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 10))
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), head)


def resnet():
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 10))
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), Residual(), head)


def attention():
    block = nn.TransformerEncoderLayer(8, 2, dim_feedforward=8, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Flatten(1, 2), block, nn.Flatten(), nn.Linear(64, 10))


NETWORKS = {f.__name__: f for f in (mlp, cnn, resnet, attention)}


@pytest.fixture(params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


@pytest.fixture(params=KINDS)
def make(request, network):
    def make(**options):
        torch.manual_seed(0)
        kind, kind_options = KINDS[request.param]
        options = {"hypernetwork": kind, "hypernetwork_options": kind_options, "seed": 0} | options
        return TaskConditional(network(), **options)

    make.keeps_initial_weights = request.param not in ("paper", "mlp", "chunked")
    make.keeps_old_tasks = request.param not in ("paper", "mlp", "chunked")
    return make


def batch(n=6):
    return torch.rand(n, 1, 8, 8), torch.arange(n) % 10


def train(model, *labels, steps=2):
    model.train()
    model.hypernetwork.begin(list(labels))
    x, y = batch(12)
    t = torch.tensor(labels)[torch.arange(12) % len(labels)]
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(x, t), y).backward()
        optimizer.step()
    return model.eval()


def test_the_first_task_starts_as_the_plain_module(make, network):
    if not make.keeps_initial_weights:
        pytest.skip("this kind takes nothing but names and shapes from the module")
    model = make().train()
    torch.manual_seed(0)
    plain = network().train()
    model.hypernetwork.add_task(3)
    x, _ = batch()
    for mode in (True, False):
        assert torch.allclose(model.train(mode)(x, 3), plain.train(mode)(x), atol=1e-6)


def test_a_mixed_batch_is_each_task_by_itself(make):
    model = train(train(make(), 5), 2)
    x, _ = batch(7)
    t = torch.tensor([5, 2, 2, 5, 2, 2, 2])
    apart = torch.empty(7, 10)
    for task in (5, 2):
        apart[t == task] = model(x[t == task], task)
    assert torch.allclose(model(x, t), apart, atol=1e-5)
    assert not torch.allclose(model(x, 5), model(x, 2), atol=1e-3)
    assert {task: out.shape for task, out in model(x, None).items()} == {5: (7, 10), 2: (7, 10)}


def test_every_trainable_parameter_has_a_gradient(make):
    model = train(make(), 0)
    model.train().hypernetwork.begin([0, 1])
    x, y = batch()
    model.zero_grad()
    cross_entropy(model(x, torch.tensor([0, 1, 0, 1, 1, 1])), y).backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert all(name.endswith(".anchor") for name in without)


def test_old_tasks_stay_put(make):
    if not make.keeps_old_tasks:
        pytest.skip("this kind needs a regulariser for that")
    model = train(make(), 0)
    x, _ = batch()
    before = model(x, 0)
    for task in (1, 2):
        train(model, task, steps=5)
    assert torch.allclose(model(x, 0), before, atol=1e-5)


def test_saved_and_loaded(make):
    model = train(train(make(), 4), 1)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = make(seed=1)
    other.load_state_dict(torch.load(file))
    x, _ = batch()
    t = torch.tensor([4, 1, 1, 4, 4, 1])
    assert torch.equal(other.eval()(x, t), model(x, t))
    assert other.tasks == [4, 1]


def test_under_naive_on_a_classification_benchmark(make):
    model = make()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        evaluator=EvaluationPlugin(loggers=[]),
    )
    benchmark = SplitDigits(5, seed=0)
    before = None
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)  # holds tasks that were never trained
        x = next(iter(benchmark.test_stream)).dataset[0][0].unsqueeze(0)
        now = model.eval()(x, 0)
        assert before is None or not make.keeps_old_tasks or torch.allclose(now, before, atol=1e-5)
        before = now
    assert model.tasks == [0, 1, 2]
    assert model.known_train_tasks_labels == {0, 1, 2}


def test_statistics_are_each_task_s_own():
    model = TaskConditional(resnet(), seed=0)

    model.train().hypernetwork.begin([0, 1])
    bright, dark = torch.rand(8, 1, 8, 8) + 5, torch.rand(8, 1, 8, 8) - 5
    t = torch.tensor([0, 1] * 8)
    mixed = torch.stack([bright, dark], 1).flatten(0, 1)
    for _ in range(3):
        model(mixed, t)
    of_0, of_1 = (model.statistics(task)["1.running_mean"].clone() for task in (0, 1))
    model(bright, 0)
    assert not torch.equal(model.statistics(0)["1.running_mean"], of_0)
    assert torch.equal(model.statistics(1)["1.running_mean"], of_1)
    assert int(model.statistics(1)["1.num_batches_tracked"]) == 3
    # Each task was normalized by itself: the same as with its rows alone.
    alone = TaskConditional(resnet(), seed=0)
    alone.load_state_dict(model.state_dict())
    alone.train(), model.train()
    assert torch.allclose(model(mixed, t)[t == 0], alone(bright, 0), atol=1e-5)


def test_only_what_is_named_is_written():
    model = TaskConditional(cnn(), written=["2."], seed=0)
    assert set(model.hypernetwork.shapes) == {"2.2.weight", "2.2.bias"}
    shared = {n for n, _ in model.named_parameters() if n.startswith("module.")}
    assert shared == {"module.0.weight", "module.0.bias"}
    frozen = cnn()
    frozen[0].requires_grad_(False)
    assert set(TaskConditional(frozen).hypernetwork.shapes) == {"2.2.weight", "2.2.bias"}


def test_a_module_that_vmap_cannot_run():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x) if float(x.sum()) > 0 else -self.linear(x)

    model = TaskConditional(Branching(), vectorized=False, seed=0)
    model.hypernetwork.begin([0, 1])
    x, t = torch.tensor([[1.0, 1.0], [-1.0, -1.0]]), torch.tensor([0, 1])
    expected = torch.cat([model(x[:1], 0), model(x[1:], 1)])
    assert torch.equal(model(x, t), expected)


def test_a_copy_learns_by_itself():
    model = train(TaskConditional(mlp(), seed=0), 0)
    other = copy.deepcopy(model)
    x, _ = batch()
    before = model(x, 0)
    train(other, 0, steps=5)
    assert torch.equal(model.eval()(x, 0), before)


@pytest.mark.parametrize(
    ("module", "options", "error", "message"),
    [
        (
            cnn,
            {"written": ["3.", "0."]},
            ValueError,
            "name begins with '3.'; choose from 0.weight, 0.bias, 2.2.",
        ),
        (cnn, {"written": "0."}, TypeError, "a list of names"),
        (nn.ReLU, {}, ValueError, "nothing to write"),
        (lambda: nn.LazyLinear(2), {}, TypeError, "run a batch through it"),
        (MTSimpleMLP, {}, TypeError, "MultiTaskModule already"),
        (lambda: IncrementalClassifier(4), {}, ValueError, "grows with the stream"),
        (cnn, {"hypernetwork": "perfect"}, ValueError, "unknown hypernetwork 'perfect'.*isolated"),
    ],
)
def test_what_cannot_be_wrapped(module, options, error, message):
    with pytest.raises(error, match=message):
        TaskConditional(module(), **options)


def test_a_module_that_changes_once_wrapped_is_refused():
    model = TaskConditional(mlp(), seed=0)
    model.module[3] = nn.Linear(12, 20)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        evaluator=EvaluationPlugin(loggers=[]),
    )
    with pytest.raises(ValueError, match=r"3.weight was written .* now has shape \(20, 12\)"):
        strategy.train(SplitDigits(5, seed=0).train_stream[0])
    assert strategy.clock.train_iterations == 0


def test_a_buffer_that_changes_late():
    class Late(nn.Linear):
        def __init__(self):
            super().__init__(64, 10)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen += self.training
            return super().forward(x.flatten(1))

    model = TaskConditional(Late(), seed=0)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        evaluator=EvaluationPlugin(loggers=[]),
    )
    stream = SplitDigits(5, seed=0).train_stream
    strategy.train(stream[0])
    with pytest.raises(ValueError, match=r"training has changed seen, .*task_buffers=\['seen'\]"):
        strategy.train(stream[1])


@pytest.mark.parametrize("kind", ["isolated", "delta"])
def test_buffers_that_training_changes(kind):
    """Power iterations of spectral normalization belong to a task's weights."""

    def make(**options):
        torch.manual_seed(0)
        layer = nn.utils.parametrizations.spectral_norm(nn.Linear(64, 10))
        return TaskConditional(
            nn.Sequential(nn.Flatten(), layer), hypernetwork=kind, seed=0, **options
        )

    def naive(model):
        return Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=64,
            evaluator=EvaluationPlugin(loggers=[]),
        )

    stream = SplitDigits(5, seed=0).train_stream
    strategy = naive(make())
    with pytest.raises(ValueError, match=r"keeps 1.parametrizations.weight.0._u.*task_buffers"):
        strategy.train(stream[0])
    assert strategy.clock.train_iterations == 0
    buffers = [f"1.parametrizations.weight.0._{name}" for name in "uv"]
    model = make(task_buffers=buffers)
    strategy = naive(model)
    x, _ = batch()
    strategy.train(stream[0])
    before = model.eval()(x, 0)
    strategy.train(stream[1:3])
    assert torch.allclose(model.eval()(x, 0), before, atol=1e-5)
    with pytest.raises(ValueError, match=r"unknown buffer or attribute 'u'; choose from"):
        make(task_buffers=["u"])
