"""A run that is watched, stopped anywhere and resumed by new objects, is found to be the same."""

import copy
import functools
from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import IncrementalClassifier, MTSimpleMLP
from avalanche.training import Naive
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from avalanche_hsf.analysis import ModelRecorderPlugin
from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.checkpoints import CheckpointPlugin, resume, save
from avalanche_hsf.checkpoints.folder import checkpoints_in
from avalanche_hsf.forensics import ForensicsPlugin
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import CommitPlugin

N = 5
digits = functools.partial(SplitDigits, N, seed=0)


def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))


def growing():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), IncrementalClassifier(8, 2))


class Heads(MTSimpleMLP):
    def __init__(self):
        super().__init__(input_size=64, hidden_size=8)

    def forward(self, x, task_labels):
        return super().forward(x.flatten(1), task_labels)


def reparametrized():
    """A class that is made for one layer, and a hook: no checkpoint has either."""
    net = plain()
    net[1] = weight_norm(net[1])
    net[3].register_forward_hook(halved)
    return net


def halved(module, inputs, output):
    return output / 2


def of_a_local_class():
    class Net(nn.Sequential):
        pass

    return Net(*plain())


def tied():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    net[3].weight = net[1].weight
    return nn.Sequential(net, nn.BatchNorm1d(64), nn.Linear(64, 10))


def hypernetwork(kind, **options):
    return TaskConditional(plain(), hypernetwork=kind, hypernetwork_options=options, seed=1)


MODELS = {
    "plain": plain,
    "growing": growing,
    "heads": Heads,
    "reparametrized": reparametrized,
    "of a local class": of_a_local_class,
    "tied and normalized": tied,
    "isolated": functools.partial(hypernetwork, "isolated"),
    "delta": functools.partial(hypernetwork, "delta", size=2),
    "mlp": functools.partial(hypernetwork, "mlp", embedding_dim=4),
}


EXAMINED = {"plain", "isolated"}
"""The models whose findings are compared too, which takes a second a run."""


class Stopped(Exception):
    """In place of a kill."""


class Stop(SupervisedPlugin):
    def __init__(self, experience, epoch):
        super().__init__()
        self.at = [experience, epoch]

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        """It stops where it is told."""

    def before_training_iteration(self, strategy, **kwargs):
        if [strategy.clock.train_exp_counter, strategy.clock.train_exp_epochs] == self.at:
            raise Stopped


def made(model, watching, folder=None, stop=(-1, 0)):
    torch.manual_seed(0)
    net = MODELS[model]()
    plugins = [watching, Stop(*stop)]
    if isinstance(net, TaskConditional):
        plugins.append(CommitPlugin())
    if folder is not None:
        plugins.append(CheckpointPlugin(folder))
    return Naive(
        model=net,
        optimizer=torch.optim.Adam(net.parameters(), 1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        train_epochs=2,
        plugins=plugins,
        evaluator=None,
    )


def train(strategy, stream, start=0):
    for experience in stream[start:]:
        strategy.train(experience)


def watcher(recorder_alone):
    return ModelRecorderPlugin() if recorder_alone else ForensicsPlugin(None, n_samples=8)


def seen(watching, *, findings=True):
    """All that was recorded: of each model its classes, numbers and what it says."""
    recorder = getattr(watching, "recorder", watching)
    models = []
    for i, model in enumerate(recorder.models):
        samples = digits().test_stream[i].dataset
        x = torch.stack([samples[j][0] for j in range(16)])
        labels = torch.full((len(x),), i)
        with torch.no_grad():
            takes_labels = isinstance(model, (TaskConditional, MTSimpleMLP))
            output = model(x, labels) if takes_labels else model(x)
        numbers = {n: v for n, v in model.state_dict().items() if isinstance(v, torch.Tensor)}
        kinds = [(name, type(module).__qualname__) for name, module in model.named_modules()]
        modes = [module.training for module in model.modules()]
        wanted = [(name, p.requires_grad) for name, p in model.named_parameters()]
        models.append((kinds, modes, wanted, numbers, output))
    # As text, in which one NaN is as another.
    return models, repr(watching.findings()) if findings and watching is not recorder else ""


def check_same(a, b):
    for (*structure, numbers, output), (*other, others, of_other) in zip(a[0], b[0], strict=True):
        assert structure == other
        assert numbers.keys() == others.keys()
        assert all(torch.equal(numbers[name], others[name]) for name in numbers)
        assert torch.equal(output, of_other)
    assert a[1] == b[1]


@functools.cache
def whole(model, recorder_alone=False):
    watching = watcher(recorder_alone)
    train(made(model, watching), digits().train_stream)
    return seen(watching, findings=model in EXAMINED)


RESEMBLE_OTHERS = {"delta", "mlp", "of a local class", "plain"}


@pytest.mark.parametrize(
    "model",
    [pytest.param(m, marks=pytest.mark.slow) if m in RESEMBLE_OTHERS else m for m in MODELS],
)
def test_stopped_within_and_at_the_end_of_an_experience(model, tmp_path):
    for stop in ((2, 1), (3, 0)) if model in EXAMINED else ((2, 1),):
        folder = tmp_path / str(stop)
        with pytest.raises(Stopped):
            train(made(model, watcher(False), folder, stop), digits().train_stream)
        watching = watcher(False)
        strategy = made(model, watching, folder)
        start = resume(strategy, folder)
        assert start == stop[0]
        train(strategy, digits().train_stream, start)
        check_same(seen(watching, findings=model in EXAMINED), whole(model))


@pytest.mark.parametrize("model", ["growing", "delta"])
def test_a_recorder_alone_saved_between_experiences(model, tmp_path):
    strategy = made(model, watcher(True))
    train(strategy, digits().train_stream[:3])
    save(strategy, tmp_path)
    watching = watcher(True)
    strategy = made(model, watching)
    train(strategy, digits().train_stream, resume(strategy, tmp_path))
    check_same(seen(watching), whole(model, recorder_alone=True))


def test_a_whole_stream_in_one_call_writes_its_page(tmp_path):
    with pytest.raises(Stopped):
        made("plain", watcher(False), tmp_path, (3, 1)).train(digits().train_stream)
    watching = ForensicsPlugin(tmp_path / "page.html", n_samples=8)
    strategy = made("plain", watching, tmp_path)
    strategy.train(digits().train_stream[resume(strategy, tmp_path) :])
    check_same(seen(watching), whole("plain"))
    assert (tmp_path / "page.html").exists()


def saved(folder, watching, n=2):
    strategy = made("plain", watching)
    train(strategy, digits().train_stream[:n])
    save(strategy, folder)


def test_no_sample_is_in_a_checkpoint(tmp_path):
    plain_run, watched = tmp_path / "plain", tmp_path / "watched"
    saved(plain_run, ModelRecorderPlugin())
    saved(watched, ForensicsPlugin(None, n_samples=10_000))
    (a,), (b,) = checkpoints_in(plain_run), checkpoints_in(watched)
    assert b.stat().st_size - a.stat().st_size < 8_000  # of 700 samples of 64 floats


def test_findings_of_a_run_that_was_over(tmp_path):
    saved(tmp_path, ForensicsPlugin(None), N)
    before = ForensicsPlugin(None)
    resume(made("plain", before), tmp_path)
    with pytest.raises(ValueError, match=r"ForensicsPlugin\(stream=benchmark.test_stream\)"):
        before.findings()
    given = ForensicsPlugin(None, stream=digits().test_stream)
    resume(made("plain", given), tmp_path)
    check = ForensicsPlugin(None)
    train(made("plain", check), digits().train_stream)
    check_same(seen(given), seen(check))


def test_samples_it_was_trained_on_are_found_again(tmp_path):
    def watching():
        return ForensicsPlugin(None, stream=digits().test_stream[:1])

    first = watching()
    train(made("plain", first), digits().train_stream[:3])
    saved(tmp_path, watching())
    second = watching()
    strategy = made("plain", second)
    # A slice has but one of the experiences that are looked for.
    train(strategy, digits().train_stream[2:3], resume(strategy, tmp_path) - 2)
    check_same(seen(second), seen(first))
    assert len(second.findings().notes) == 2


def test_other_samples_are_refused_before_training(tmp_path):
    saved(tmp_path, ForensicsPlugin(None))
    shuffled = ForensicsPlugin(None, stream=SplitDigits(N, seed=1).test_stream)
    strategy = made("plain", shuffled)
    resume(strategy, tmp_path)
    before = copy.deepcopy(strategy.model.state_dict())
    with pytest.raises(ValueError, match="make the benchmark as it was"):
        strategy.train(digits().train_stream[2])
    assert all(torch.equal(v, before[n]) for n, v in strategy.model.state_dict().items())


def test_an_experience_without_a_stream_says_what_to_give(tmp_path):
    saved(tmp_path, ForensicsPlugin(None))
    plugin = ForensicsPlugin(None)
    resume(made("plain", plugin), tmp_path)
    with pytest.raises(ValueError, match=r"give them to the plugin before resume"):
        plugin.before_training_exp(
            SimpleNamespace(experience=SimpleNamespace(current_experience=2, origin_stream=None))
        )
