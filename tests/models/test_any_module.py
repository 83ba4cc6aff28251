"""What modules do besides mapping rows to rows: found out, kept for each task, or refused."""

from collections import deque

import nflows.transforms
import numpy as np
import pytest
import torch
from test_zoo import assert_close, expected_of, loss_of, moved
from torch import nn
from zoo import DIM, Calls, vectors

from avalanche_hsf.models import TaskConditional

UNEVEN = torch.tensor([0, 1, 1, 2, 1, 1, 0, 2, 1, 0])


def of(make, kind="isolated", tasks=3, **options):
    torch.manual_seed(0)
    model = TaskConditional(make(), hypernetwork=kind, seed=0, **options)
    for task in range(tasks):
        model.hypernetwork.begin([task])
        model.statistics.add_task(task)
        moved(model)
        model.hypernetwork([task])
    return model


class Reverses(nn.Module):
    """Turns its gradient around, by a hook of a tensor."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(DIM, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = self.a(x)
        if h.requires_grad:
            h.register_hook(lambda gradient: -gradient)
        return self.b(h)


def hooked():
    module = nn.Sequential(nn.Linear(DIM, 4), nn.Linear(4, 3))
    module[1].register_full_backward_hook(lambda m, grad, out: tuple(-g for g in grad))
    return module


def zero_headed():
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    module = nn.Sequential(nn.Linear(DIM, 4), norm, nn.Linear(4, 3))
    nn.init.zeros_(module[2].weight)
    return module


def rezero():
    def forward(m, x):
        return x + m.alpha * torch.softmax(x @ x.T, 1) @ m.o(x)

    return Calls(forward, o=nn.Linear(DIM, DIM), alpha=nn.Parameter(torch.zeros(1)))


def chunked():
    return Calls(
        lambda m, x: torch.cat([c - i for i, c in enumerate(m.o(x).chunk(2))]), o=nn.Linear(DIM, 3)
    )


def only_with_gradients():
    def forward(m, x):
        h = m.o(x)
        return h - h.mean(0) if torch.is_grad_enabled() else h

    return Calls(forward, o=nn.Linear(DIM, 3))


def counted_and_drawn():
    return Calls(lambda m, x: m.o(x + 0 * torch.randn_like(x)) / len(x), o=nn.Linear(DIM, 3))


def names_of_methods():
    def forward(m, x):
        return m.keys @ x.T if False else x @ m.keys + m.items

    return Calls(forward, keys=nn.Parameter(torch.randn(DIM, 3)), items=nn.Parameter(torch.ones(3)))


MIXING = {
    f.__name__: f
    for f in (
        Reverses,
        hooked,
        zero_headed,
        rezero,
        chunked,
        only_with_gradients,
        counted_and_drawn,
        names_of_methods,
    )
}


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("kind", ["isolated", "delta", "mlp", "chunked"])
def test_rows_and_gradients_are_those_of_the_task_alone(name, kind):
    def plain():
        torch.manual_seed(0)
        return MIXING[name]().double()

    model = of(plain, kind).double()
    x = vectors(10).double()
    model.hypernetwork.begin([1, 2])
    trained = [p for p in model.hypernetwork.parameters() if p.requires_grad and p.numel()]
    for _ in range(2):
        written = model.hypernetwork([0, 1, 2])
        weights = {task: {n: w[task] for n, w in written.items()} for task in range(3)}
        expected = expected_of(model, plain, x, UNEVEN, weights)
        out = model(x, UNEVEN)
        assert_close(out, expected, 1e-11)
        wanted = torch.autograd.grad(loss_of(expected), trained, materialize_grads=True)
        found = torch.autograd.grad(loss_of(out), trained, materialize_grads=True)
        for a, b in zip(found, wanted, strict=True):
            assert torch.allclose(a, b, rtol=1e-8, atol=1e-9 * max(1.0, float(b.abs().max())))
        moved(model)


class MeanStd:
    def __init__(self):
        self.mean = np.zeros(DIM)

    def see(self, x):
        self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0).numpy()


class Normalizes(nn.Module):
    """Keeps a mean in some form."""

    def __init__(self, form):
        super().__init__()
        self.form, self.o = form, nn.Linear(DIM, 3)
        if form == "array":
            self.mean = np.zeros(DIM, dtype=np.float32)
        elif form == "object":
            self.mean = MeanStd()
        elif form == "deque":
            self.mean = deque([torch.zeros(DIM)], maxlen=3)
        elif form == "list of layers":
            self.mean = [nn.BatchNorm1d(DIM, affine=False)]
        elif form == "frozen parameter":
            self.mean = nn.Parameter(torch.zeros(DIM), requires_grad=False)
        elif form == "first batch":
            self.register_buffer("mean", torch.zeros(DIM))
            self.register_buffer("seen", torch.tensor(False))
        elif form == "cached weights":
            self.mean = None

    def forward(self, x):
        form = self.form
        if form == "cached weights":
            if self.training:
                self.mean = None
            elif self.mean is None:
                self.mean = torch.tanh(self.o.weight)
            return x @ (self.mean if self.mean is not None else torch.tanh(self.o.weight)).T
        if form == "array":
            mean = torch.from_numpy(self.mean)
            if self.training:
                self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0).numpy()
        elif form == "object":
            mean = torch.from_numpy(self.mean.mean).float()
            if self.training:
                self.mean.see(x)
        elif form == "deque":
            mean = sum(self.mean)
            self.mean.append(x.detach().mean(0))
        elif form == "list of layers":
            return self.o(self.mean[0].train(self.training)(x))
        elif form == "frozen parameter":
            mean = self.mean.clone()
            with torch.no_grad():
                self.mean.lerp_(x.mean(0), 0.5 * self.training)
        else:
            with torch.no_grad():
                if not self.seen:
                    self.mean.copy_(x.mean(0))
                    self.seen.fill_(True)
            mean = self.mean
        return self.o(x - mean)


FORMS = ["array", "object", "deque", "list of layers", "frozen parameter", "first batch"]


@pytest.mark.parametrize("form", FORMS)
def test_state_in_any_form_is_refused_and_kept_for_each_task_when_named(form):
    model = of(lambda: Normalizes(form))
    with pytest.raises(ValueError, match=r"task_buffers=\[.*mean"):
        model.train()(vectors(8), 2)
    names = ["mean", "seen"] if form == "first batch" else ["mean"]
    model = of(lambda: Normalizes(form), tasks=1, task_buffers=names)
    x, y = vectors(8), 5 + vectors(8)
    for _ in range(3):
        model.train()(x, 0)
    before = model.eval()(x, 0)
    model.train().hypernetwork.begin([1])
    for _ in range(3):
        model.train()(y, 1)
    assert_close(model.eval()(x, 0), before, 1e-5)


def test_weights_that_a_module_caches_in_evaluation_are_refused():
    model = of(lambda: Normalizes("cached weights")).eval()
    with pytest.raises(ValueError, match=r"task_buffers=\['mean'\]"):
        model(vectors(4), 0)
    of_library = of(lambda: nflows_layer(using_cache=True)).eval()
    with pytest.raises(ValueError, match="cache"):
        of_library(vectors(4), 0)
    assert of(lambda: nflows_layer(using_cache=False)).eval()(vectors(4), 0).shape == (4, DIM)


def nflows_layer(**options):
    layer = nflows.transforms.LULinear(DIM, **options)
    return Calls(lambda m, x: m.layer(x)[0], layer=layer)


def test_values_that_forward_gives_a_weight_itself_are_not_lost_in_silence():
    layer = nflows.transforms.ActNorm(DIM)
    model = of(lambda: Calls(lambda m, x: m.layer(x)[0], layer=layer), tasks=1)
    with pytest.raises(ValueError, match="run a batch through the module before it is wrapped"):
        model.train()(vectors(8), 0)

    class Replaces(nn.Linear):
        def forward(self, x):
            self.weight = nn.Parameter(self.weight.detach() * 0.5)
            return super().forward(x)

    with pytest.raises(ValueError, match="forward gives weight other values itself"):
        of(lambda: Replaces(DIM, 3), tasks=1)(vectors(4), 0)


def test_parameters_held_beside_their_layer_are_refused():
    def listed():
        module = Calls(lambda m, x: m.o(x) + sum(p.sum() for p in m.ps), o=nn.Linear(DIM, 3))
        module.ps = list(module.o.parameters())
        return module

    with pytest.raises(ValueError, match=r"holds o.weight in its attribute ps.*in forward"):
        of(listed)


def test_a_loss_in_a_container_is_that_of_no_task():
    def with_loss():
        def forward(m, x):
            m.losses = {"b": x.mean(0).sum() * m.o.weight.sum()}
            return m.o(x)

        return Calls(forward, o=nn.Linear(DIM, 3))

    with pytest.raises(ValueError, match="leaves a loss in its attribute losses"):
        of(with_loss)(vectors(10), UNEVEN)


def test_names_that_differ_in_a_slash():
    module = nn.ModuleDict({"a": nn.ModuleDict({"b": nn.Linear(2, 2)}), "a/b": nn.Linear(2, 2)})
    model = TaskConditional(Calls(lambda m, x: m.d["a/b"](m.d["a"]["b"](x)), d=module), seed=0)
    model.hypernetwork.begin([0])
    assert len(model.hypernetwork.drafts[0]) == 4


def test_inputs_of_every_shape():
    module = Calls(lambda m, x: m.o(x["x"]) * x["scale"], o=nn.Linear(DIM, 3))
    model = of(lambda: module)
    x = {"scale": torch.tensor(2.0), "x": vectors(10), "name": "row"}
    assert model(x, 0).shape == model(x, UNEVEN).shape == (10, 3)
    with pytest.raises(ValueError, match="at least one row"):
        model({"x": vectors(0), "scale": 1.0}, UNEVEN[:0])
