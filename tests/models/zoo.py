"""Modules as users bring them, small: each with an input of n rows, and the options it needs."""

import nflows.distributions
import nflows.flows
import nflows.transforms
import torch
import torchsde
import torchvision
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint

DIM = 6


def vectors(n):
    return torch.randn(n, DIM)


def images(n, channels=3, size=8):
    return torch.randn(n, channels, size, size)


def sequences(n):
    return torch.randn(n, 5, DIM)


def words(n):
    return torch.randint(1, 9, (n, 5))


class Calls(nn.Module):
    """A module whose forward is a function of its parts and the input."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def mlp():
    return nn.Sequential(nn.Linear(DIM, 7), nn.ReLU(), nn.Dropout(0.0), nn.Linear(7, 4))


def normalized(norm, *, image=False):
    if image:
        return nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
    return nn.Sequential(nn.Linear(DIM, 4), norm, nn.Tanh(), nn.Linear(4, 3))


def embedding():
    return Calls(
        lambda m, x: m.out(m.table(x).mean(1)), table=nn.Embedding(9, 4), out=nn.Linear(4, 3)
    )


def recurrent(kind, **options):
    layer = kind(DIM, 4, batch_first=True, **options)
    width = 8 if options.get("bidirectional") else 4
    return Calls(lambda m, x: m.out(m.rnn(x)[0][:, -1]), rnn=layer, out=nn.Linear(width, 3))


def cell():
    return Calls(lambda m, x: m.rnn(x[:, 1], m.rnn(x[:, 0])), rnn=nn.GRUCell(DIM, 4))


def transformer():
    layer = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(m, x):
        mask = x.eq(0)
        hidden = m.encoder(m.table(x), src_key_padding_mask=mask)
        return m.out(hidden.masked_fill(mask.unsqueeze(2), 0).mean(1))

    return Calls(forward, table=nn.Embedding(9, 8), encoder=encoder, out=nn.Linear(8, 3))


def padded(n):
    x = words(n)
    for row, length in enumerate(torch.arange(n) % 4 + 1):
        x[row, length:] = 0
    return x


def dictionary(n):
    return {"a": torch.randn(n, DIM), "b": [torch.randn(n, 2), torch.randn(n, 2)]}


def of_dictionary():
    def forward(m, x):
        h = torch.tanh(m.a(x["a"]) + m.b(x["b"][0] * x["b"][1]))
        return {"h": h, "more": (h.square(), h.sum(1))}

    return Calls(forward, a=nn.Linear(DIM, 4), b=nn.Linear(2, 4))


def tied():
    module = nn.Sequential(nn.Linear(DIM, DIM), nn.Tanh(), nn.Linear(DIM, DIM))
    module[2].weight = module[0].weight
    return module


def tied_language_model():
    table = nn.Embedding(9, 4)
    module = Calls(lambda m, x: m.out(m.table(x)), table=table, out=nn.Linear(4, 9, bias=False))
    module.out.weight = table.weight
    return module


def frozen():
    module = nn.Sequential(nn.Linear(DIM, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 4))
    module[0].requires_grad_(False)
    return module


def weight_decay_of_its_own():
    """Reads its own parameters by the list of them."""

    def forward(m, x):
        return m.out(x) + sum(p.square().sum() for p in m.parameters())

    return Calls(forward, out=nn.Linear(DIM, 3))


def centred():
    return Calls(lambda m, x: m.out(x - x.mean(0)), out=nn.Linear(DIM, 3))


def scaled_by_the_batch():
    return Calls(lambda m, x: m.out(x) / len(x), out=nn.Linear(DIM, 3))


def sum_of_earlier_rows():
    return Calls(lambda m, x: m.out(x.cumsum(0)), out=nn.Linear(DIM, 3))


def hard_batch_statistics():
    def forward(m, x):
        with torch.no_grad():
            largest = x.max(0).values
        return m.out(x / largest)

    return Calls(forward, out=nn.Linear(DIM, 3))


def branching():
    return Calls(
        lambda m, x: m.a(x) if float(x.sum()) > 0 else m.b(x),
        a=nn.Linear(DIM, 3),
        b=nn.Linear(DIM, 3),
    )


def flow():
    transform = nflows.transforms.CompositeTransform(
        [
            nflows.transforms.MaskedAffineAutoregressiveTransform(DIM, 8),
            nflows.transforms.ReversePermutation(DIM),
            nflows.transforms.LULinear(DIM),
        ]
    )
    distribution = nflows.flows.Flow(transform, nflows.distributions.StandardNormal([DIM]))
    return Calls(lambda m, x: m.flow.log_prob(x), flow=distribution)


class Drift(nn.Module):
    noise_type, sde_type = "diagonal", "ito"

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(DIM, DIM)

    def f(self, t, y):
        return torch.tanh(self.layer(y))

    def g(self, t, y):
        return torch.zeros_like(y)


def solved(solver):
    def forward(m, x):
        times = torch.tensor([0.0, 0.3], dtype=x.dtype)
        return solver(m.sde, x, times, dt=0.1, method="euler")[-1]

    return Calls(forward, sde=Drift())


def checkpointed(*, reentrant=False):
    def forward(m, x):
        return m.out(checkpoint(m.block, m.first(x), use_reentrant=reentrant))

    block = nn.Sequential(nn.Linear(DIM, 7), nn.Tanh())
    return Calls(forward, first=nn.Linear(DIM, DIM), block=block, out=nn.Linear(7, 3))


def compiled():
    return torch.compile(mlp(), backend="eager")


def small_resnet():
    return torchvision.models.resnet18(num_classes=3)


def small_mobilenet():
    return torchvision.models.mobilenet_v3_small(num_classes=3, dropout=0.0)


class Counts(nn.Module):
    """Keeps a mean of what it has seen, in a buffer that it replaces."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(DIM, 3)
        self.register_buffer("mean", torch.zeros(DIM))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return self.out(x - self.mean)


class CountsInAnAttribute(Counts):
    """The same in a plain attribute."""

    def __init__(self):
        super().__init__()
        del self.mean
        self.mean = torch.zeros(DIM)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.mean = fn(self.mean)
        return self


class Remembers(nn.Module):
    """Leaves behind what nobody reads, and a cache."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(DIM, 3)
        self.last, self.table = None, None

    def forward(self, x):
        if self.table is None:
            self.table = torch.linspace(0, 1, DIM, dtype=x.dtype)
        self.last = self.out(x + self.table)
        return self.last


BN, BN2, IN2 = nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d
UNTRACKED = {"track_running_stats": False}
ZOO = {
    "MLP": (mlp, vectors, {}),
    "CNN": (lambda: normalized(nn.Identity(), image=True), images, {}),
    "BatchNorm1d": (lambda: normalized(BN(4)), vectors, {}),
    "BatchNorm1d, not affine": (lambda: normalized(BN(4, affine=False)), vectors, {}),
    "BatchNorm1d, untracked": (lambda: normalized(BN(4, **UNTRACKED)), vectors, {}),
    "BatchNorm1d, cumulative": (lambda: normalized(BN(4, momentum=None)), vectors, {}),
    "BatchNorm2d": (lambda: normalized(BN2(4), image=True), images, {}),
    "BatchNorm2d, untracked": (lambda: normalized(BN2(4, **UNTRACKED), image=True), images, {}),
    "LayerNorm": (lambda: normalized(nn.LayerNorm(4)), vectors, {}),
    "RMSNorm": (lambda: normalized(nn.RMSNorm(4)), vectors, {}),
    "GroupNorm": (lambda: normalized(nn.GroupNorm(2, 4), image=True), images, {}),
    "InstanceNorm2d": (lambda: normalized(IN2(4, affine=True), image=True), images, {}),
    "InstanceNorm2d, tracked": (
        lambda: normalized(IN2(4, track_running_stats=True), image=True),
        images,
        {},
    ),
    "LocalResponseNorm": (lambda: normalized(nn.LocalResponseNorm(2), image=True), images, {}),
    "embedding": (embedding, words, {}),
    "RNN": (lambda: recurrent(nn.RNN), sequences, {}),
    "GRU": (lambda: recurrent(nn.GRU, num_layers=2), sequences, {}),
    "LSTM": (lambda: recurrent(nn.LSTM, bidirectional=True), sequences, {}),
    "GRUCell": (cell, sequences, {}),
    "Transformer with padding": (transformer, padded, {}),
    "dictionaries": (of_dictionary, dictionary, {}),
    "tied weights": (tied, vectors, {}),
    "tied language model": (tied_language_model, words, {}),
    "spectral norm": (
        lambda: nn.Sequential(spectral_norm(nn.Linear(DIM, 4)), nn.Linear(4, 3)),
        vectors,
        {"task_buffers": ["0.parametrizations.weight.0._u", "0.parametrizations.weight.0._v"]},
    ),
    "weight norm": (lambda: weight_norm(nn.Linear(DIM, 4)), vectors, {}),
    "old weight norm": (lambda: nn.utils.weight_norm(nn.Linear(DIM, 4)), vectors, {}),
    "frozen backbone": (frozen, vectors, {}),
    "its own parameters": (weight_decay_of_its_own, vectors, {}),
    "mean over the batch": (centred, vectors, {}),
    "sum of earlier rows": (sum_of_earlier_rows, vectors, {}),
    "size of the batch": (scaled_by_the_batch, vectors, {}),
    "statistics without gradient": (hard_batch_statistics, vectors, {}),
    "branches on its data": (branching, vectors, {}),
    "nflows": (flow, vectors, {}),
    "torchsde": (lambda: solved(torchsde.sdeint), vectors, {}),
    "compiled": (compiled, vectors, {}),
    "resnet18": (small_resnet, lambda n: images(n, size=33), {}),
    "mobilenet": (small_mobilenet, lambda n: images(n, size=33), {}),
    "buffer that is replaced": (Counts, vectors, {"task_buffers": ["mean"]}),
    "attribute that is replaced": (CountsInAnAttribute, vectors, {"task_buffers": ["mean"]}),
    "leaves something behind": (Remembers, vectors, {}),
}
REFUSED = {
    "checkpointed": (checkpointed, vectors, "activation checkpointing around the whole model"),
    "checkpointed, reentrant": (
        lambda: checkpointed(reentrant=True),
        vectors,
        "activation checkpointing around the whole model",
    ),
    "adjoint solver": (lambda: solved(torchsde.sdeint_adjoint), vectors, "not their adjoint"),
    "buffer that all tasks share": (Counts, vectors, r"task_buffers=\['mean'\]"),
    "attribute that all tasks share": (CountsInAnAttribute, vectors, r"task_buffers=\['mean'\]"),
}
LARGE = {"resnet18", "mobilenet"}
