"""export_task: one task's network, without the hypernetwork and without this package."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from test_zoo import CASES, KINDS, assert_close, moved, wrapped
from torch import nn
from zoo import DIM, mlp, normalized, tied, vectors

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.models import (
    GENERATED,
    HSFNetwork,
    HypernetSDEFlow,
    MLPAutoencoder,
    TaskConditional,
    export_task,
)
from avalanche_hsf.models.tasks.nested import tensors_of
from avalanche_hsf.models.tasks.per_task import PerTask
from avalanche_hsf.models.tasks.slots import EmptySlot

FEW = [
    (name, kind)
    for name, kind in CASES
    if name != "resnet18" and (kind in ("isolated", "mlp") or name == "MLP")
]


def with_two_tasks(module, hypernetwork="isolated", **options):
    model = TaskConditional(module, hypernetwork=hypernetwork, seed=0, **options)
    for task in (3, 5):
        model.hypernetwork.begin([task])
        moved(model)
    model.hypernetwork.commit()
    return model.eval()


def is_ours(part):
    return type(part).__module__.startswith("avalanche_hsf")


@pytest.mark.parametrize(("name", "kind"), FEW)
def test_outputs_are_those_of_the_model(name, kind):
    model, plain, make_x = wrapped(name, kind)
    x, before = make_x(10), copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for task in range(3):
            network = export_task(model.train(), task)
            assert model.training and all(part.training for part in model.hypernetwork.modules())
            expected, out = model.eval()(x, task), network(x)
            if name in ("RNN", "compiled"):
                assert_close(out, expected, 1e-12)
            else:
                pairs = zip(tensors_of(out), tensors_of(expected), strict=True)
                assert all(torch.equal(a, b) for a, b in pairs)
    names = [n.removeprefix("_orig_mod.") for n, _ in plain().named_parameters()]
    assert [n for n, _ in network.named_parameters()] == names
    assert not any(isinstance(b, EmptySlot) for b in network.buffers())
    assert not any(is_ours(part) for part in network.modules())
    if name != "compiled":
        plain().load_state_dict(network.state_dict())
    # Nothing that is done to the network reaches the model.
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data.zero_()
    assert_close(list(before.values()), list(model.state_dict().values()), 0)


def test_each_task_has_its_own_statistics():
    torch.manual_seed(0)
    model = TaskConditional(normalized(nn.BatchNorm1d(4)), seed=0)
    for task in range(2):
        model.train().hypernetwork.begin([task])
        for _ in range(3):
            model(5 * task + vectors(8), task)
    means = [export_task(model, task)[1].running_mean for task in range(2)]
    assert (means[0] - means[1]).abs().max() > 0.1
    with pytest.raises(ValueError, match=r"task 7 has no weights yet, only \[0, 1\] have"):
        export_task(model, 7)


def test_what_is_not_written_is_copied():
    backbone = mlp()
    backbone[0].requires_grad_(False)
    model = with_two_tasks(backbone, written=["3."])
    network = export_task(model, 5)
    assert torch.equal(network[0].weight, backbone[0].weight)
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert trained == ["3.weight", "3.bias"]


def test_tied_weights_stay_tied():
    network = export_task(with_two_tasks(tied()), 3)
    assert network[0].weight is network[2].weight
    assert len(list(network.parameters())) == 3


@pytest.mark.parametrize("adapter", ["low-rank", "core", "scale"])
def test_changes_kept_in_few_bits(adapter):
    options = {"adapter": adapter, "size": 4, "bits": 8}
    model, x = with_two_tasks(mlp(), "delta", hypernetwork_options=options), vectors(10)
    outs = [model(x, task) for task in (3, 5)]
    assert not torch.equal(*outs)
    for task, out in zip((3, 5), outs, strict=True):
        assert torch.equal(export_task(model, task)(x), out)


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_as_a_plain_network(kind):
    hypernetwork, options = KINDS[kind]
    network = export_task(with_two_tasks(mlp(), hypernetwork, hypernetwork_options=options), 5)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    x, y = vectors(20), torch.randint(4, (20,))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        losses.append(nn.functional.cross_entropy(network(x), y))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def test_the_mask_of_a_task_goes_along():
    x = vectors(10)
    model = with_two_tasks(mlp(), masking=True)
    model.mask.add_classes(5, [1, 2])
    for task in (3, 5):  # task 3 has seen no class, so it has all
        network = export_task(model, task)
        assert torch.equal(network(x), model(x, task))
        assert not any(is_ours(part) for part in network.modules())
    assert (network(x)[:, [0, 3]] == -1000).all() and type(network.network) is nn.Sequential
    assert torch.equal(copy.deepcopy(network)(x), model(x, 5))


def test_a_head_that_grows_is_left_as_it_is():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), IncrementalClassifier(4, 2))
    model = TaskConditional(module, written=["1."], seed=0)
    experience = SplitDigits(5, seed=0).train_stream[1]
    for part in (model, model.hypernetwork, module[2]):
        part.adaptation(experience)
    x = torch.rand(5, 1, 8, 8)
    assert torch.equal(export_task(model, 1)(x), model.eval()(x, 1))


@pytest.mark.parametrize("generated", GENERATED)
@pytest.mark.parametrize("kind", ["paper", "isolated"])
def test_hypernet_sde_flow(kind, generated):
    options = {"hidden_dim": 8, "latent_dim": 4, "hypernetwork": kind, "generated": generated}
    model = HypernetSDEFlow(6, seed=0, **options)
    classifier = HypernetSDEFlow(6, output_dim=3, masking=True, seed=0, **options)
    classifier.mask.add_classes(1, [0, 2])
    x = torch.rand(5, 2, 3)
    for net in (model, classifier):
        for task in range(2):
            net.hypernetwork.begin([task])
            moved(net)
        for task in range(2):
            network = export_task(net, task)
            assert torch.equal(network(x), net.eval()(x, task))
            assert torch.equal(network(x), net(x, task))  # and the noise goes on alike
    assert isinstance(export_task(model, 0), HSFNetwork)


ALONE = """
import sys, torch
class Refuse:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("avalanche_hsf", "avalanche"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
for network, x, out in torch.load(sys.argv[1], weights_only=False):
    assert torch.equal(network(x), out)
    traced = torch.jit.trace(network, x)
    exported = torch.export.export(network, (x,)).module()
    assert torch.allclose(traced(x), out) and torch.allclose(exported(x), out)
assert "avalanche_hsf" not in sys.modules
print("alone")
"""


def test_it_runs_traces_and_exports_without_this_package(tmp_path):
    masked = with_two_tasks(mlp(), masking=True)
    masked.mask.add_classes(5, [1, 2])
    image = torch.randn(4, 3, 8, 8)
    cases = [
        (with_two_tasks(mlp()), vectors(4)),
        (masked, vectors(4)),
        (with_two_tasks(normalized(nn.BatchNorm2d(4), image=True)), image),
    ]
    kept = [(export_task(model, 5), x, model(x, 5).detach()) for model, x in cases]
    torch.save(kept, tmp_path / "networks.pt")
    ran = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "networks.pt")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert ran.stdout == "alone\n", ran.stderr[-2000:]


class Remembers(nn.Module):
    """Leaves a tensor with a graph in its attribute."""

    def __init__(self):
        super().__init__()
        self.out, self.last = nn.Linear(DIM, 3), None

    def forward(self, x):
        self.last = [self.out(x)]
        return self.last[0]


def test_what_a_pass_left_behind_is_copied_without_its_graph():
    model = with_two_tasks(Remembers())
    model.hypernetwork.begin([5])
    model(vectors(4), 5)
    assert model.module.last[0].grad_fn is not None
    assert export_task(model, 5).last[0].grad_fn is None


def test_a_compiled_model_is_exported_plain():
    model = with_two_tasks(mlp())
    assert type(export_task(torch.compile(model, backend="eager"), 3)) is nn.Sequential


class Chooses(nn.Module):
    """Chooses a head by a label that somebody sets."""

    def __init__(self):
        super().__init__()
        self.heads, self.task = PerTask(lambda label, names: nn.Linear(DIM, 2)), 3
        for label in (3, 5):
            self.heads[label] = nn.Linear(DIM, 2)

    def forward(self, x):
        return self.heads[self.task](x)


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo):
        raise RuntimeError("an open file")


@pytest.mark.parametrize(
    ("make", "kind", "cure"),
    [
        (lambda: MTSimpleMLP(), TypeError, r"MTSimpleMLP chooses heads .* call model\(x, task\)"),
        (lambda: MLPAutoencoder(3), TypeError, "same weights for all tasks: use a copy.deepcopy"),
        (lambda: nn.Sequential(with_two_tasks(mlp())), TypeError, "give the one inside of the Seq"),
        (lambda: {"a": 1}, TypeError, "only a TaskConditional or a HypernetSDEFlow"),
        (lambda: with_two_tasks(Chooses()), ValueError, "heads keeps parts for each task"),
        (lambda: with_two_tasks(Uncopyable(2, 2)), TypeError, "cannot be copied .an open file.: l"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_cure(make, kind, cure):
    with pytest.raises(kind, match=cure):
        export_task(make(), 3)


@pytest.mark.parametrize("task", [-1, 1.5, None, torch.tensor([3, 5])])
def test_a_task_is_one_label(task):
    with pytest.raises((TypeError, ValueError), match="task must be"):
        export_task(with_two_tasks(mlp()), task)
