"""Any module, any hypernetwork: each row as the plain module answers on its task's rows alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.func import functional_call
from zoo import LARGE, REFUSED, ZOO

from avalanche_hsf.models import TaskConditional
from avalanche_hsf.models.tasks.nested import map_tensors, tensors_of

KINDS = {
    "paper": ("paper", {"embedding_dim": 2}),
    "mlp": ("mlp", {"embedding_dim": 2, "hidden_dims": (2,)}),
    "chunked": ("chunked", {"embedding_dim": 2, "chunk_embedding_dim": 2, "hidden_dims": (2,)}),
    "isolated": ("isolated", {}),
    "delta": ("delta", {"adapter": "core", "size": 4}),
}
HELD = ("isolated", "delta")
# Of the large networks a hypernetwork that is a network would be larger still.
CASES = [(name, kind) for name in ZOO for kind in (HELD if name in LARGE else KINDS)]


def slow_where(condition, *values):
    """Of a parametrization, with the mark where the condition holds."""
    return pytest.param(*values, marks=[pytest.mark.slow] if condition else [])


UNEVEN = torch.tensor([0, 1, 1, 2, 1, 1, 0, 2, 1, 0])
SINGLE = torch.tensor([0, 1, 1, 1, 1, 2, 1, 1, 1, 1])


def wrapped(name, kind):
    """A model with three tasks of different weights, in float64, a plain module, an input."""
    make, make_x, options = ZOO[name]

    def plain():
        torch.manual_seed(0)
        return make().double()

    module = plain()
    hypernetwork, of_kind = KINDS[kind]
    model = TaskConditional(
        module, hypernetwork=hypernetwork, hypernetwork_options=of_kind, seed=0, **options
    ).double()
    for task in range(3):
        model.hypernetwork.begin([task])
        model.statistics.add_task(task)
        moved(model)
        as_double(model(as_double(make_x(4)), task))  # and so do its statistics
    return model, plain, lambda n: as_double(make_x(n))


@torch.no_grad()
def moved(model):
    for parameter in model.hypernetwork.parameters():
        if parameter.requires_grad:
            parameter += 0.1 * torch.randn_like(parameter)


def as_double(x):
    return map_tensors(lambda t: t.double() if t.is_floating_point() else t, x)


def rows_of(x, rows):
    return map_tensors(lambda t: t[rows], x)


def expected_of(model, plain, x, labels, weights=None):
    """The plain module on each task's rows, in the order of the batch."""
    outs, order = [], []
    for task in labels.unique().tolist():
        rows = (labels == task).nonzero().flatten()
        tensors = {n: w[0] for n, w in model.write(task, 1).weights.items()}
        tensors = tensors if weights is None else weights[task]
        tensors = tensors | model.statistics(task, learn=False)
        attributes = {n: tensors.pop(n) for n in model.statistics.attributes}
        fresh = plain().train(model.training)
        for attribute, value in attributes.items():
            setattr(fresh, attribute, value)
        outs.append(functional_call(fresh, tensors, (rows_of(x, rows),), tie_weights=True))
        order.append(rows)
    back = torch.cat(order).argsort()
    return map_tensors(lambda *parts: torch.cat(parts)[back], *outs)


def assert_close(out, expected, tolerance):
    for a, b in zip(tensors_of(out), tensors_of(expected), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert torch.allclose(a, b, rtol=tolerance, atol=tolerance), (a - b).abs().max()


def loss_of(out):
    return sum((part * part.detach().cos()).sum() for part in tensors_of(out))


@pytest.mark.parametrize(
    ("name", "kind"), [slow_where(case[0] == "resnet18", *case) for case in CASES]
)
@pytest.mark.parametrize("training", [True, False])
def test_outputs_are_those_of_the_plain_module(name, kind, training):
    model, plain, make_x = wrapped(name, kind)
    model.train(training)
    x = make_x(10)
    for labels in (torch.full((10,), 1), UNEVEN, UNEVEN):  # the second time with what was found
        expected = expected_of(model, plain, x, labels)
        with torch.no_grad():
            assert_close(model(x, labels), expected, 1e-12)
    if "BatchNorm1d" not in name and name not in ("resnet18", "mobilenet", "frozen backbone"):
        expected = expected_of(model, plain, x, SINGLE)
        with torch.no_grad():
            assert_close(model(x, SINGLE), expected, 1e-12)


@pytest.mark.parametrize(
    ("name", "kind"), [slow_where(case[0] == "resnet18", *case) for case in CASES]
)
def test_gradients_are_those_of_the_plain_module(name, kind):
    model, plain, make_x = wrapped(name, kind)
    model.hypernetwork.begin([1, 2])
    x = make_x(10)
    trained = [p for p in model.hypernetwork.parameters() if p.requires_grad and p.numel()]
    for labels in (torch.full((10,), 2), UNEVEN):
        written = model.hypernetwork([0, 1, 2])
        weights = {task: {n: w[task] for n, w in written.items()} for task in range(3)}
        expected = expected_of(model, plain, x, labels, weights)
        wanted = torch.autograd.grad(loss_of(expected), trained, allow_unused=True)
        found = torch.autograd.grad(loss_of(model(x, labels)), trained, allow_unused=True)
        for a, b in zip(found, wanted, strict=True):
            a, b = (torch.zeros(()).double() if g is None else g for g in (a, b))
            scale = max(1.0, float(b.abs().max()))
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize(
    ("name", "kind"),
    [slow_where(n == "resnet18", n, k) for n in ZOO for k in HELD],
)
def test_old_tasks_stay_as_they_were(name, kind):
    torch.manual_seed(0)
    make, make_x, options = ZOO[name]
    hypernetwork, of_kind = KINDS[kind]
    model = TaskConditional(
        make(), hypernetwork=hypernetwork, hypernetwork_options=of_kind, seed=0, **options
    )
    x, before = make_x(8), {}
    for task in range(3):
        model.train().hypernetwork.begin([task])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            labels = torch.tensor([0, task] * 4)
            loss_of(model(x, labels)).backward()
            optimizer.step()
        model.hypernetwork.commit()
        with torch.no_grad():
            model.eval()
            for old, out in before.items():
                assert_close(model(x, old), out, 2e-6)
            before[task] = model(x, task)


IN_A_FRESH_PROCESS = [
    *((name, "isolated") for name in ZOO if name != "resnet18"),
    *((name, "delta") for name in ("MLP", "GRU")),
    *(("MLP", "mlp"), ("BatchNorm1d", "paper"), ("attribute that is replaced", "mlp")),
]


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(IN_A_FRESH_PROCESS, marks=pytest.mark.slow),
        slow_where(True, [("resnet18", "isolated")]),
    ],
    ids=["small", "resnet18"],
)
def test_a_state_in_a_fresh_process_gives_the_same(cases, tmp_path):
    kept = {}
    for name, kind in cases:
        model, _, make_x = wrapped(name, kind)
        x = make_x(10)
        with torch.no_grad():
            kept[name, kind] = (model.state_dict(), x, model.eval()(x, UNEVEN))
    torch.save(kept, tmp_path / "kept.pt")
    code = (
        "import sys, torch, test_zoo\n"
        "kept = torch.load(sys.argv[1], weights_only=False)\n"
        "for (name, kind), (state, x, out) in kept.items():\n"
        "    make, _, options = test_zoo.ZOO[name]\n"
        "    kind, of_kind = test_zoo.KINDS[kind]\n"
        "    model = test_zoo.TaskConditional(make().double(), hypernetwork=kind,\n"
        "        hypernetwork_options=of_kind, seed=1, **options).double()\n"
        "    model.load_state_dict(state)\n"
        "    with torch.no_grad():\n"
        "        test_zoo.assert_close(model.eval()(x, test_zoo.UNEVEN), out, 1e-12)\n"
        "    print(name)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "kept.pt")],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.splitlines() == [name for name, _ in cases], ran.stderr[-2000:]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_right_is_refused_with_the_cure(name, kind):
    make, make_x, cure = REFUSED[name]
    hypernetwork, of_kind = KINDS[kind]
    model = TaskConditional(make(), hypernetwork=hypernetwork, hypernetwork_options=of_kind, seed=0)
    model.hypernetwork.begin([0])
    with pytest.raises((RuntimeError, ValueError), match=cure):
        loss_of(model(make_x(6), 0)).backward()


def test_document():
    document = (Path(__file__).parents[2] / "docs/pipelines.md").read_text()
    assert re.findall(r"`zoo\[(.+)\]` \|$", document, re.MULTILINE) == [*ZOO, *REFUSED]
