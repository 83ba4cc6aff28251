"""Checkpoints that are damaged, hostile or of something else change nothing, and say why."""

import builtins
import copy
import hashlib
import json
import pickle
import random
import shutil
from collections import deque

import numpy as np
import pytest
import torch
from avalanche.core import SupervisedPlugin
from pipelines import PIPELINES, Stop, conditional, equal, preset, sgd, stock
from safetensors.torch import load
from safetensors.torch import save as safetensors
from torch import nn

from avalanche_hsf.checkpoints import CheckpointError, CheckpointPlugin, resume, save
from avalanche_hsf.checkpoints.folder import checkpoints_in

NAME = "isolated adam replay"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with two checkpoints, the newest from within an experience."""
    folder = tmp_path_factory.mktemp("checkpoints")
    strategy, stream = PIPELINES[NAME]([CheckpointPlugin(folder)])
    for experience in stream.train_stream[:2]:
        strategy.train(experience)
    assert len(checkpoints_in(folder)) == 2
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "checkpoints")


def state(strategy):
    """The numbers of the model, copied."""
    named = strategy.model.state_dict().items()
    return {name: v.clone() for name, v in named if isinstance(v, torch.Tensor)}


def with_body(body, version=b"1"):
    digest = hashlib.sha256(body).hexdigest().encode()
    return b"avalanche-hsf checkpoint " + version + b"\n" + digest + b"\n" + body


def with_content(content, tensors=None):
    text = content if isinstance(content, str) else json.dumps(content)
    return with_body(safetensors(tensors or {"0": torch.zeros(1)}, {"content": text}))


class Bomb:
    def __reduce__(self):
        return exec, ("import builtins; builtins.exploded = True",)


def read(data):
    """What a file holds, as a dictionary."""
    body = data.split(b"\n", 2)[2]
    length = int.from_bytes(body[:8], "little")
    return json.loads(json.loads(body[8 : 8 + length])["__metadata__"]["content"])


def tampered(data, change):
    """The file with another content, and the digest that fits it."""
    content = read(data)
    change(content["content"])
    return with_content(content, load(data.split(b"\n", 2)[2]))


def first(node, kind):
    """The first node of a kind."""
    if isinstance(node, list):
        if node[:1] == [kind]:
            return node
        return next(filter(None, (first(part, kind) for part in node)), None)
    if isinstance(node, dict):
        return next(filter(None, (first(part, kind) for part in node.values())), None)
    return None


def change_first(kind, place, value):
    def change(content):
        first(content["states"], kind)[place] = value

    return lambda data: tampered(data, change)


def plant(content):
    """A class whose constructor would run when the model is trained."""
    logger = ["named", "avalanche.logging.csv_logger:CSVLogger"]
    model = content["states"][0][0]["strategy"][3]["model"]
    model[3]["train"] = logger


def flipped(seed):
    def flip(data):
        place = random.Random(seed).randrange(len(data))
        return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]

    return flip


DAMAGED = {
    **{f"cut at {share}": lambda d, s=share: d[: int(len(d) * s)] for share in (0.001, 0.5, 0.999)},
    "cut by a byte": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    **{f"a bit flipped, {seed}": flipped(seed) for seed in range(12)},
    "a pickle": lambda data: pickle.dumps(Bomb()),
    "a pickle inside": lambda data: with_body(pickle.dumps(Bomb())),
    "a state_dict": lambda data: b"PK\x03\x04" + data,
    "text": lambda data: b"avalanche-hsf checkpoint",
    "JSON": lambda data: b"{}",
    "another version": lambda data: data.replace(b"checkpoint 1", b"checkpoint 2", 1),
    "no version": lambda data: data.replace(b"checkpoint 1", b"checkpoint ", 1),
    "no content": lambda data: with_body(safetensors({"0": torch.zeros(1)})),
    "content of a wrong type": lambda data: with_content([]),
    "content of wrong fields": lambda data: with_content({"complex": [], "content": {}}),
    "content that is no JSON": lambda data: with_content("{"),
    "deep content": lambda data: with_content("[" * 100_000),
    "tensors missing": lambda data: with_content(read(data)),
    "a class that must not be made": change_first("object", 2, "subprocess:Popen"),
    "a class that is not there": change_first("object", 2, "avalanche.training:Nothing"),
    "a function in place of another": change_first("named", 1, "os:system"),
    "a class in place of a method": lambda data: tampered(data, plant),
    "an unknown kind": change_first("dict", 0, "import"),
    "a tensor that is not there": change_first("tensor", 2, 10**9),
    "a number in place of a list": change_first("list", 2, 5),
    "an object met before it was made": change_first("dict", 0, "again"),
    "an older package": lambda data: tampered(
        data, lambda content: content["identity"].update(avalanche_hsf="0.0.1")
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_or_hostile(name, folder):
    older, newest = checkpoints_in(folder)
    newest.write_bytes(DAMAGED[name](newest.read_bytes()))
    strategy, stream = PIPELINES[NAME]()
    before, generators = state(strategy), torch.random.get_rng_state()
    with pytest.raises(CheckpointError) as raised:
        resume(strategy, folder)
    assert f"{older}, is whole" in str(raised.value)
    assert equal(state(strategy), before)
    assert torch.equal(torch.random.get_rng_state(), generators)
    assert not hasattr(builtins, "exploded")
    assert resume(strategy, older) == 1
    strategy.train(stream.train_stream[1])


def test_all_are_damaged(folder):
    for path in checkpoints_in(folder):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="start anew in another folder"):
        resume(PIPELINES[NAME]()[0], folder)


OTHERS = {
    "another kind": (conditional("delta", sgd, size=2), "model"),
    "another strategy": (PIPELINES["replay"], "strategy is"),
    "another optimizer": (conditional("isolated", sgd), "optimizer is"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_of_another_strategy(name, folder):
    make, says = OTHERS[name]
    strategy, _ = make()
    before = state(strategy)
    with pytest.raises(CheckpointError, match=f"of another strategy: {says}"):
        resume(strategy, folder)
    assert equal(state(strategy), before)


def wide():
    return nn.Sequential(nn.Linear(9, 7), nn.ReLU(), nn.Dropout(0.2), nn.Linear(7, 6))


def smooth():
    return nn.Sequential(nn.Linear(9, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 6))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            stock("Naive", model=wide),
            r"0\.weight is \['float32', 8, 9\] there and \['float32', 7",
        ),
        (stock("Naive", model=smooth), r"model\.1 is \['torch.nn.modules.activation:ReLU'"),
        (
            stock("Naive", plugins=lambda o: [Stop()]),
            "it has nothing else among its plugins, this one Stop",
        ),
        (stock("Naive", optimizer=lambda p: torch.optim.SGD(p, 0.1)), "optimizer's lr is 0.05"),
    ],
)
def test_of_another_model_plugin_or_rate(other, says, tmp_path):
    save(PIPELINES["naive"]()[0], tmp_path)
    with pytest.raises(CheckpointError, match=says):
        resume(other()[0], tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"model_options": {"latent_dim": 5}},
        {"model_options": {"hypernetwork_options": {"bits": 8, "adapter": "core", "size": 124}}},
    ],
)
def test_of_another_hsf(options, tmp_path):
    save(preset("compact")()[0], tmp_path)
    with pytest.raises(CheckpointError, match="of another strategy: model"):
        resume(preset("compact", **options)()[0], tmp_path)


def test_another_experience(folder):
    strategy, stream = PIPELINES[NAME]([CheckpointPlugin(folder)])
    assert resume(strategy, folder) == 1
    with pytest.raises(CheckpointError, match=r"within experience 1 .* this is 2: train what"):
        strategy.train(stream.train_stream[2])


def test_state_that_cannot_be_kept_is_refused_before_training(tmp_path):
    class Position(SupervisedPlugin):
        def __init__(self):
            super().__init__()
            self.words = map(str, range(5))

    strategy, stream = PIPELINES["naive"]([Position(), CheckpointPlugin(tmp_path)])
    before = state(strategy)
    with pytest.raises(CheckpointError, match=r"Position goes .* \(words\)"):
        strategy.train(stream.train_stream[0])
    assert equal(state(strategy), before)


def test_a_folder_of_a_run_that_was_not_resumed(folder):
    strategy, stream = PIPELINES[NAME]([CheckpointPlugin(folder)])
    before = [path.read_bytes() for path in checkpoints_in(folder)]
    with pytest.raises(CheckpointError, match=r"call resume\(strategy, folder\) before train"):
        strategy.train(stream.train_stream[0])
    assert [path.read_bytes() for path in checkpoints_in(folder)] == before


def test_spoiled_weights_are_not_saved(tmp_path):
    strategy, stream = PIPELINES["naive"]([CheckpointPlugin(tmp_path)])
    strategy.train(stream.train_stream[0])
    strategy.optimizer.param_groups[0]["lr"] = float("inf")
    with pytest.warns(UserWarning, match="NaN or infinite, and the last good ones are kept"):
        strategy.train(stream.train_stream[1])
    other, stream = PIPELINES["naive"]([CheckpointPlugin(tmp_path)])
    assert resume(other, tmp_path) == 1
    assert all(torch.isfinite(p).all() for p in other.model.parameters())


def test_what_fits_is_offered_alone(folder):
    """Another strategy finds no older checkpoint of its own."""
    with pytest.raises(CheckpointError, match="no other fits, so start anew in another folder"):
        resume(PIPELINES["replay"]()[0], folder)


class Holding(SupervisedPlugin):
    def __init__(self, value):
        super().__init__()
        self.value = value


class Listed(list):
    """A list with a class of its own."""


@pytest.mark.parametrize(
    "value",
    [
        Listed([1]),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.array(["a"]),
        np.zeros(2, dtype=[("x", float)]),
        np.zeros(2, dtype=">f8"),
        torch.zeros(2).as_subclass(type("Own", (torch.Tensor,), {})),
        bytearray(b"a"),
        map(str, range(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_come_back_as_something_else_is_refused(value, tmp_path):
    strategy, stream = PIPELINES["naive"]([Holding(value), CheckpointPlugin(tmp_path)])
    with pytest.raises(CheckpointError, match=r"state_dict\(\) and a load_state_dict\(state\)"):
        strategy.train(stream.train_stream[0])


@pytest.mark.parametrize(
    "value",
    [
        deque([1, 2], maxlen=3),
        np.array(0.5),
        {(1, "a"): {2.0}, None: frozenset([3])},
        [torch.zeros(2, dtype=torch.complex64), torch.float16, 1j, float("-inf")],
        np.random.default_rng(3),
        random.Random(4),
        iter([1, 2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_kept_comes_back(value, tmp_path):
    def made(value=None):
        return PIPELINES["naive"]([Holding(value)])[0]

    strategy, other = made(copy.deepcopy(value)), made()
    save(strategy, tmp_path)
    resume(other, tmp_path)
    held = next(p for p in other.plugins if isinstance(p, Holding)).value

    def shown(value):
        if hasattr(value, "bit_generator"):
            return value.bit_generator.state
        return value.getstate() if isinstance(value, random.Random) else value

    assert type(held) is type(value)
    assert repr(shown(held)) == repr(shown(value)) or list(held) == list(value)


def test_nothing_is_saved_that_waits_for_its_stream(folder, tmp_path):
    strategy, _ = PIPELINES[NAME]()
    resume(strategy, folder)
    with pytest.raises(CheckpointError, match="waits for its stream"):
        save(strategy, tmp_path / "other")
