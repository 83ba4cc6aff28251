"""What every kind of hypernetwork promises, whatever part of the model it writes."""

import copy
import io
from math import prod
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from avalanche_hsf.models import GENERATED, HYPERNETWORKS, HypernetSDEFlow, TaskGroups, TaskWeights
from avalanche_hsf.models.hypernetworks.adapters import Adapter
from avalanche_hsf.models.tasks.call import call_per_task
from avalanche_hsf.models.tasks.slots import release
from avalanche_hsf.training import negative_log_likelihood

KINDS = {
    "paper": ("paper", {}),
    "mlp": ("mlp", {"embedding_dim": 4, "hidden_dims": (8,)}),
    "chunked": ("chunked", {"embedding_dim": 4, "chunk_embedding_dim": 3, "chunk_size": 50}),
    "isolated": ("isolated", {}),
    "delta, low-rank": ("delta", {"adapter": "low-rank", "size": 1}),
    "delta, core": ("delta", {"adapter": "core", "size": 4}),
}
assert {kind for kind, _ in KINDS.values()} == set(HYPERNETWORKS)
EMBEDDED = ("paper", "mlp", "chunked")
SMALL = {
    "hidden_dim": 8,
    "latent_dim": 4,
    "flow_layers": 2,
    "flow_hidden_dim": 8,
    "sde_hidden_dim": 8,
    "encoder_steps": 2,
    "decoder_steps": 1,
}
NO_NOISE = {"diffusion_scale": 1e-30}


@pytest.fixture(params=GENERATED)
def generated(request):
    return request.param


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def make(kind, generated):
    """Makes a model of the kind under test."""

    def make(*, seed=0, **options):
        torch.manual_seed(seed)
        chosen = dict(zip(("hypernetwork", "hypernetwork_options"), KINDS[kind], strict=True))
        return HypernetSDEFlow(3, generated=generated, seed=seed, **chosen, **SMALL, **options)

    return make


def loss_of(model, labels, n=12):
    """Reconstruction and likelihood of a batch that mixes the labels."""
    x = torch.linspace(-1, 1, 3 * n).view(n, 3)
    each = torch.tensor(labels)[torch.arange(n) % len(labels)]
    out = model.forward_with_latents(x, each)
    nll = negative_log_likelihood(*model.flow_of(out.z0, each))
    return (out.reconstruction - x).square().mean() + 0.1 * nll


def go_on(model, labels):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss_of(model, labels).backward()
        optimizer.step()
    return model


def train(model, *labels):
    """A few steps on the samples of some tasks, as one experience."""
    model.train()
    model.hypernetwork.begin(list(labels))
    return go_on(model, labels)


def written(model, task):
    """All weights of a task as one vector."""
    weights = model.eval().hypernetwork([task])
    return torch.cat([w.detach().flatten() for w in weights.values()])


def distance(a, b):
    return float((a - b).norm() / b.norm())


def test_shapes_and_gradients(make, generated):
    model = make()
    model.hypernetwork.begin([4, 0])
    weights = model.hypernetwork([0, 4])
    assert list(weights) == list(model.hypernetwork.shapes)
    assert all(name.startswith(GENERATED[generated]) for name in weights)
    for name, shape in model.hypernetwork.shapes.items():
        assert weights[name].shape == (2, *shape), name
    decoders = [name for name in weights if name.startswith("decoder.")]
    assert list(model.hypernetwork([0], "decoder.")) == decoders
    assert model(torch.zeros(5, 3), 4).shape == (5, 3)

    go_on(model, [0, 4])  # factors of a low rank get their gradients in turn, at the start
    model.zero_grad()
    loss_of(model, [0, 4]).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not name.endswith(".anchor"):
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_what_is_written_is_no_parameter_of_the_main_network(make):
    model = make()
    names = {name for name, _ in model.named_parameters()}
    assert not names & set(model.hypernetwork.shapes)
    assert not set(model.state_dict()) & set(model.hypernetwork.shapes)


def test_a_mixed_batch_equals_its_tasks_one_by_one(make):
    model = make(sde_options=NO_NOISE)
    for task in (0, 1, 2):
        train(model, task)
    model.eval()
    x, labels = torch.randn(30, 3), torch.tensor([0, 1, 1, 2, 9, 2]).repeat(5)
    mixed = model.forward_with_latents(x, labels)
    flow = model.flow_of(mixed.z0, labels)
    for task in (0, 1, 2, 9):  # 9 was never trained
        rows = labels == task
        alone = model.forward_with_latents(x[rows], task)
        for name in ("reconstruction", "z0", "z_T"):
            together = getattr(mixed, name)[rows]
            assert torch.allclose(together, getattr(alone, name), atol=1e-5), name
        for together, single in zip(flow, model.flow_of(alone.z0, task), strict=True):
            assert torch.allclose(together[rows], single, atol=1e-5)
    assert not torch.allclose(model(x, 0), model(x, 2), atol=1e-4)


def loaded(model, make):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = make(seed=9)
    other.load_state_dict(torch.load(file))
    return other


@pytest.mark.parametrize("generated", ["paper", "all"])
@pytest.mark.parametrize("moment", ["before the first task", "within a task", "after a commit"])
def test_a_loaded_model_and_a_copy_are_equal_and_train_on(make, moment):
    model = make()
    if moment != "before the first task":
        train(train(model, 0), 1)
    if moment == "after a commit":
        model.hypernetwork.commit()
    twins = [loaded(model, make), copy.deepcopy(model)]
    x, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])

    def assert_equal():
        expected = model.eval()(x, labels)
        for twin in twins:
            assert twin.hypernetwork.tasks == model.hypernetwork.tasks
            assert torch.equal(twin.eval()(x, labels), expected)

    assert_equal()
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    for twin in twins:
        assert [name for name, p in twin.named_parameters() if p.requires_grad] == trained
    if moment == "within a task":
        for each in (model, *twins):
            go_on(each.train(), [1])
    for each in (model, *twins):
        train(each, 2)
    assert_equal()
    before = written(model, 2)  # and what happens to a copy does not reach the model
    go_on(twins[1].train(), [2])
    assert torch.equal(written(model, 2), before)


def test_it_grows_by_the_tasks_of_an_experience_in_training_only(make):
    hypernetwork = make().hypernetwork
    hypernetwork.adaptation(SimpleNamespace(task_labels=[2, 5]))
    assert hypernetwork.tasks == [2, 5]
    hypernetwork.adaptation(SimpleNamespace(task_labels=[7, 2]))
    assert hypernetwork.tasks == [2, 5, 7]
    hypernetwork.eval().adaptation(SimpleNamespace(task_labels=[11]))
    assert hypernetwork.tasks == [2, 5, 7]
    with pytest.raises(ValueError, match="with_task_labels"):
        hypernetwork.adaptation(SimpleNamespace())
    hypernetwork.train()
    with pytest.raises(ValueError, match="at least 0"):
        hypernetwork.add_task(-1)
    with pytest.raises(TypeError, match="integer"):
        hypernetwork.add_task(True)
    assert hypernetwork.tasks == [2, 5, 7]


def test_an_old_task_comes_back_as_it_was_and_is_trained_on(make):
    model = make()
    for task in (3, 5):
        train(model, task)
    before, other = written(model, 3), written(model, 5)
    model.train().hypernetwork.begin([3])
    assert model.hypernetwork.tasks == [3, 5]
    assert distance(written(model, 3), before) < 1e-6
    go_on(model.train(), [3])
    assert distance(written(model, 3), before) > 1e-4
    if model.hypernetwork.holds_old_tasks:
        assert distance(written(model, 5), other) < 1e-5


def test_tasks_of_one_experience_are_trained_together(make):
    model = make()
    train(model, 6)
    old = written(model, 6)
    model.train().hypernetwork.begin([1, 2])
    before = {task: written(model, task) for task in (1, 2)}
    go_on(model.train(), [1, 2])
    model.hypernetwork.commit()
    for task in (1, 2):
        assert distance(written(model, task), before[task]) > 1e-4
    assert (distance(written(model, 6), old) < 1e-5) == model.hypernetwork.holds_old_tasks


def test_an_untrained_task_has_weights_in_evaluation_only(make, kind):
    model = make(sde_options=NO_NOISE).eval()
    x = torch.randn(5, 3)
    assert torch.isfinite(model(x, 12)).all()
    train(model, 0)
    what = "embedding" if kind in EMBEDDED else "weights"
    with pytest.raises(ValueError, match=rf"task 12 has no {what} yet, only \[0\] have"):
        model(x, 12)
    out = model.eval()(x, 12)
    assert torch.equal(out, model(x, 99))
    # The zero embedding where embeddings are learned, the first task in the other kinds.
    assert torch.equal(out, model(x, 0)) == (kind not in EMBEDDED)
    assert model.hypernetwork.tasks == [0]


def test_copy_task(make, kind):
    model = make()
    train(model, 0)
    train(model, 1)
    model.hypernetwork.copy_task(0, 1)
    assert distance(written(model, 1), written(model, 0)) < 1e-6
    for source, target in ((0, 8), (8, 1)):
        with pytest.raises(ValueError, match="task 8"):
            model.hypernetwork.copy_task(source, target)
    if model.hypernetwork.holds_old_tasks:
        with pytest.raises(ValueError, match="task 0 is not in training"):
            model.hypernetwork.copy_task(1, 0)
    before = written(model, 0)
    go_on(model.train(), [1])
    assert distance(written(model, 1), before) > 1e-4
    if model.hypernetwork.holds_old_tasks:
        assert distance(written(model, 0), before) < 1e-5


def test_what_a_task_costs(make, kind):
    model = make()
    hypernetwork = model.hypernetwork

    def floats():
        kept = [v for v in model.state_dict().values() if isinstance(v, torch.Tensor)]
        return sum(v.numel() for v in kept if v.is_floating_point())

    for task in (0, 1, 2):
        train(model, task)
    hypernetwork.commit()
    before = floats()
    for task in (3, 4, 5, 6):
        train(model, task)
    hypernetwork.commit()
    n_weights = sum(prod(shape) for shape in hypernetwork.shapes.values())
    if kind == "isolated":
        assert floats() - before == 4 * n_weights and len(hypernetwork.drafts) == 0
    else:
        delta = kind.startswith("delta")
        size = hypernetwork.code_size if delta else {"paper": 16, "mlp": 4, "chunked": 4}[kind]
        assert floats() - before == 4 * size


class Net(nn.Module):
    """Two inputs, two outputs, and buffers: a constant and the statistics of a batch norm."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.norm.running_mean.normal_()
        self.register_buffer("shift", torch.randn(4))

    def forward(self, x, y):
        h = self.norm(self.linear(x) + self.shift)
        return h, {"scaled": h * y}


@pytest.mark.parametrize("labels", [[5], [5, 2, 5, 9, 2, 5]])
@pytest.mark.parametrize("names", [[], ["linear.weight"], ["linear.weight", "norm.bias"]])
def test_call_per_task_is_a_loop_over_tasks(labels, names):
    net = Net().eval()
    labels = torch.tensor(labels)
    groups = TaskGroups.from_labels(labels, len(labels))
    x, y = torch.randn(len(labels), 3), torch.randn(len(labels), 1)
    own = {
        name: torch.randn(len(groups.tasks), *net.get_parameter(name).shape, requires_grad=True)
        for name in names
    }
    h, more = call_per_task(net, own, groups, x, y)
    for k, task in enumerate(groups.tasks):
        rows = labels == task
        weights = {name: w[k] for name, w in own.items()}
        expected, expected_more = functional_call(net, weights, (x[rows], y[rows]))
        assert torch.allclose(h[rows], expected, atol=1e-6)
        assert torch.allclose(more["scaled"][rows], expected_more["scaled"], atol=1e-6)
    (h.square().sum() + more["scaled"].square().sum()).backward()
    assert all(w.grad.abs().sum() > 0 for w in own.values())
    assert net.linear.bias.grad.abs().sum() > 0


def test_each_task_has_a_dropout_of_its_own():
    groups = TaskGroups.from_labels(torch.tensor([0, 1] * 50), 100)
    dropped = call_per_task(
        nn.Sequential(nn.Linear(1, 1), nn.Dropout()),
        {"0.weight": torch.ones(2, 1, 1), "0.bias": torch.zeros(2, 1)},
        groups,
        torch.ones(100, 1),
    ).flatten()
    assert set(dropped.tolist()) == {0.0, 2.0}
    assert not torch.equal(dropped[::2], dropped[1::2])


def test_a_released_parameter_is_no_longer_the_modules():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    original = net[0].weight.detach().clone()
    values = release(net, "0.weight")
    assert torch.equal(values, original) and not values.requires_grad
    assert [name for name, _ in net.named_parameters()] == ["0.bias", "1.weight", "1.bias"]
    assert "0.weight" not in net.state_dict()
    assert net[0].weight.shape == (3, 2)  # its place is kept, and moves along
    assert net.double()[0].weight.dtype == torch.float64
    x = torch.randn(4, 2, dtype=torch.float64)
    again = functional_call(net, {"0.weight": original.double()}, (x,))
    assert torch.allclose(again, net[1](x @ original.double().T + net[0].bias))


@pytest.mark.parametrize("base", [TaskWeights, Adapter])
def test_a_base_is_not_a_kind(base):
    with pytest.raises(TypeError, match="abstract"):
        base()
