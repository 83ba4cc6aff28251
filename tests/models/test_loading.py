"""A state that does not fit is refused with a reason, and changes nothing."""

import copy

import pytest
import torch
from torch import nn

from avalanche_hsf.models import HYPERNETWORKS, HypernetSDEFlow, TaskConditional


def net(n_in=3, hidden=8):
    return nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def with_batch_norm():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


class OtherNames(nn.Module):
    """As many weights as `net`, of the same shapes."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))


def conditional(make, kind, written=None, **options):
    return TaskConditional(
        make(), hypernetwork=kind, hypernetwork_options=options, written=written, seed=0
    )


def hsf(kind, **options):
    return HypernetSDEFlow(3, hypernetwork=kind, seed=0, **{"hidden_dim": 8, **options})


def models_of(kind):
    """By name, of which none takes the state of another."""
    models = {
        "net": lambda: conditional(net, kind),
        "as many weights of other names": lambda: conditional(OtherNames, kind),
        "other shapes": lambda: conditional(lambda: net(hidden=9), kind),
        "less is written": lambda: conditional(net, kind, written=["2."]),
        "another shared part": lambda: conditional(lambda: net(4), kind, written=["2."]),
        "statistics": lambda: conditional(with_batch_norm, kind, written=["0.", "2."]),
        "HSF": lambda: hsf(kind),
        "HSF of other sizes": lambda: hsf(kind, hidden_dim=9),
        "HSF of which less is written": lambda: hsf(kind, generated="paper"),
        "HSF with another shared part": lambda: hsf(kind, generated="paper", sde_hidden_dim=9),
    }
    if kind in ("paper", "mlp", "chunked"):
        models["other embeddings"] = lambda: conditional(net, kind, embedding_dim=8)
    if kind in ("mlp", "chunked"):
        models["other widths"] = lambda: conditional(net, kind, hidden_dims=(32,))
    if kind == "chunked":
        models["other chunks"] = lambda: conditional(net, kind, chunk_size=7)
        models["as many other chunks"] = lambda: conditional(net, kind, chunk_size=6)
        models["another activation"] = lambda: conditional(net, kind, activation=nn.ELU)
    if kind == "delta":
        core = {"adapter": "core", "size": 16}
        models["cores"] = lambda: conditional(net, kind, **core)
        models["cores of 8 bits"] = lambda: conditional(net, kind, **core, bits=8)
        models["cores of 9 bits"] = lambda: conditional(net, kind, **core, bits=9)
        models["another rank"] = lambda: conditional(net, kind, size=2)
        models["scales"] = lambda: conditional(net, kind, adapter="scale")
        models["fewer adapted"] = lambda: conditional(net, kind, adapted=("0.",))
    return models


def state_of(model):
    return copy.deepcopy(model.state_dict())


def is_same(a, b):
    return list(a) == list(b) and all(
        torch.equal(a[name], b[name]) if torch.is_tensor(a[name]) else a[name] == b[name]
        for name in a
    )


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=pytest.mark.slow) if k == "paper" else k for k in HYPERNETWORKS],
)
def test_no_model_takes_the_state_of_another(kind):
    makers = models_of(kind)
    others = {name: make() for name, make in makers.items()}
    states = {}
    for name, model in others.items():
        model.hypernetwork.begin([0])
        model.hypernetwork.begin([1])
        model.hypernetwork._in_use = True
        model.hypernetwork.begin([2])
        states[name] = state_of(model)
    states |= {
        f"the kind {other}": state_of(conditional(net, other))
        for other in HYPERNETWORKS
        if other != kind
    }
    for name, make in makers.items():
        model = make()
        model.hypernetwork.begin([5])
        before, parameters = state_of(model), dict(model.named_parameters())
        for source, state in states.items():
            if source == name:
                continue
            with pytest.raises(ValueError, match="the state is that of") as error:
                model.load_state_dict(state)
            assert "\n" not in str(error.value) and "make the model" in str(error.value)
            assert is_same(before, state_of(model)), f"{source} has changed {name}"
            now = dict(model.named_parameters())
            assert now.keys() == parameters.keys()
            assert all(now[key] is parameters[key] for key in now)
        model.load_state_dict(states[name])
        assert is_same(states[name], state_of(model))


def test_a_state_that_lacks_something_is_refused_unless_that_is_meant():
    model = conditional(net, "isolated", written=["2."])
    state = state_of(model)
    del state["module.0.weight"]
    before = state_of(model)
    with pytest.raises(ValueError, match=r"module\.0\.weight is missing"):
        model.load_state_dict(state)
    with pytest.raises(ValueError, match="more is too many"):
        model.load_state_dict({**before, "more": torch.zeros(1)})
    assert is_same(before, state_of(model))
    state["module.0.bias"] += 1
    assert model.load_state_dict(state, strict=False).missing_keys == ["module.0.weight"]
    assert torch.equal(model.module[0].bias, state["module.0.bias"])


def test_as_a_part_of_another_module():
    whole = nn.ModuleDict({"a": conditional(net, "delta"), "b": nn.Linear(1, 1)})
    other = nn.ModuleDict({"a": conditional(lambda: net(hidden=9), "delta"), "b": nn.Linear(1, 1)})
    before = state_of(whole)
    with pytest.raises(ValueError, match="another network"):
        whole.load_state_dict(state_of(other))
    assert is_same(before, state_of(whole))
    whole.load_state_dict(before)
