"""GeneratedReplayPlugin: old tasks rehearsed from their decoders, by any learner."""

import copy
import functools
from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.models import IncrementalClassifier, as_multitask
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits, as_reconstruction
from avalanche_hsf.checkpoints import CheckpointPlugin, resume, save
from avalanche_hsf.experiments.runs.kept import floats_kept, raw_samples_kept
from avalanche_hsf.inference import TaskRecognizer
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder, TaskConditional
from avalanche_hsf.training import (
    GeneratedReplayPlugin,
    HSFStrategy,
    InMemoryLoadingPlugin,
    TaskInferencePlugin,
)
from avalanche_hsf.training.terms import watch_terms, watched_terms

pytestmark = pytest.mark.filterwarnings("ignore:No loggers specified")
TOLD = SplitDigits(5, shuffle=False)
BLIND = SplitDigits(5, shuffle=False, return_task_id=False)


class Terms(SupervisedPlugin):
    """The rehearsal's share of each loss."""

    def __init__(self):
        super().__init__()
        self.values = []

    def before_forward(self, strategy, **kwargs):
        watch_terms(strategy)

    def after_backward(self, strategy, **kwargs):
        term = watched_terms(strategy).get("generated")
        self.values.append(None if term is None else float(term.detach()))


class Drawn(GeneratedReplayPlugin):
    """Notes what was drawn."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.tasks, self.samples = [], []

    def sample(self, tasks, strategy):
        x = super().sample(tasks, strategy)
        self.tasks.append(tasks)
        self.samples.append(x)
        return x


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def hsf(epochs=20, **options):
    return HSFStrategy.from_preset(
        input_dim=64,
        seed=0,
        train_epochs=epochs,
        train_mb_size=32,
        evaluator=None,
        optimizer_options={"name": "AdamW", "lr": 4e-3},
        model_options={"latent_dim": 8, **options},
    )


def learner(*plugins, model=None, epochs=10, criterion=None, **options):
    model = network() if model is None else model
    return Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), 5e-3),
        criterion=nn.CrossEntropyLoss() if criterion is None else criterion,
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[*plugins, InMemoryLoadingPlugin()],
        evaluator=EvaluationPlugin(loggers=[]),
        **options,
    )


@functools.cache
def trained():
    """A generator of the first three tasks."""
    torch.manual_seed(0)
    strategy = hsf()
    for experience in TOLD.train_stream[:3]:
        strategy.train(experience)
    return strategy.model


def replay(kind=GeneratedReplayPlugin, **options):
    """From a generator that was trained before."""
    return kind(copy.deepcopy(trained()), new_task="experience", **{"seed": 0, **options})


def columns(experience):
    dataset = experience.dataset.eval()
    items = [dataset[i] for i in range(len(dataset))]
    x, y = torch.stack([item[0] for item in items]), [item[1] for item in items]
    return x, torch.stack(y) if isinstance(y[0], torch.Tensor) else torch.tensor(y)


@torch.no_grad()
def accuracy(model, experience, label=None):
    x, y = columns(experience)
    model.eval()
    out = model(x) if label is None else model(x, torch.full((len(x),), label))
    return float((out.argmax(dim=1) == y).float().mean())


def train(strategy, stream=BLIND, n=3):
    torch.manual_seed(0)
    for experience in stream.train_stream[:n]:
        strategy.train(experience)
    return strategy.model


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("targets", [pytest.param("soft", marks=pytest.mark.slow), "hard"])
def test_a_learner_that_is_told_no_task_forgets_far_less(targets):
    torch.manual_seed(1)
    without = train(learner(epochs=10))
    torch.manual_seed(1)
    plugin = replay(targets=targets)
    with_it = train(learner(plugin, epochs=10))
    old = [[accuracy(m, e) for e in BLIND.test_stream[:2]] for m in (without, with_it)]
    assert max(old[0]) < 0.1
    assert min(old[1]) > 0.7
    assert accuracy(with_it, BLIND.test_stream[2]) > 0.8
    assert plugin.finished == {0: 0, 1: 0, 2: 0}


class WithHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
        self.classifier = nn.Linear(16, 10)

    def forward(self, x):
        return self.classifier(self.body(x))


def test_a_head_for_each_task():
    torch.manual_seed(0)
    plain = as_multitask(WithHead(), "classifier")
    rehearsed = copy.deepcopy(plain)
    plugin = GeneratedReplayPlugin(copy.deepcopy(trained()), seed=0)
    train(learner(model=plain, epochs=12), TOLD, 2)
    train(learner(plugin, model=rehearsed, epochs=12), TOLD, 2)
    lost, kept = (accuracy(m, TOLD.test_stream[0], 0) for m in (plain, rehearsed))
    assert kept > 0.9
    assert kept >= lost
    assert plugin.finished == {0: 0, 1: 1}


def test_heads_that_grow_give_old_samples_no_new_class():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), IncrementalClassifier(64, 2))
    train(learner(replay(), model=model))
    assert min(accuracy(model, e) for e in BLIND.test_stream[:2]) > 0.6


def test_an_autoencoder_rehearses_the_samples_themselves():
    stream = as_reconstruction(TOLD)
    models = []
    for plugins in ([], [GeneratedReplayPlugin(copy.deepcopy(trained()), seed=0)]):
        torch.manual_seed(0)
        model = MLPAutoencoder(64, latent_dim=16)
        models.append(
            train(learner(*plugins, model=model, epochs=12, criterion=nn.MSELoss()), stream)
        )
    x, _ = columns(stream.test_stream[0])
    lost, kept = (float(nn.functional.mse_loss(m.eval()(x), x)) for m in models)
    assert kept < 0.7 * lost


def test_weights_of_old_tasks_that_are_held_stay():
    torch.manual_seed(0)
    model = TaskConditional(network(), hypernetwork="isolated", seed=0)
    strategy = learner(GeneratedReplayPlugin(copy.deepcopy(trained()), seed=0), model=model)
    strategy.train(TOLD.train_stream[0])
    x, _ = columns(TOLD.test_stream[0])
    before = model.eval()(x, 0)
    strategy.train(TOLD.train_stream[1])
    torch.testing.assert_close(model.eval()(x, 0), before)
    assert accuracy(model, TOLD.test_stream[1], 1) > 0.9


class Mean(nn.Module):
    """Learns the mean of its inputs, and samples it."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(64))

    def forward(self, x):
        return self.mean.view(1, 1, 8, 8).expand_as(x)

    def sample(self, n, task, *, generator=None):
        return self.mean.expand(n, 64)


def test_a_learner_that_is_its_own_generator_samples_what_it_was():
    model = Mean()
    plugin = Drawn(model, seed=0)
    strategy = learner(plugin, model=model, criterion=nn.MSELoss())
    stream = as_reconstruction(TOLD)
    train(strategy, stream, 1)
    before = model.mean.detach().clone().view(1, 8, 8)
    strategy.train(stream.train_stream[1])
    assert all(torch.equal(x, before) for batch in plugin.samples for x in batch)
    assert not torch.allclose(model.mean.view(1, 8, 8), before, atol=0.05)


def test_each_minibatch_draws_evenly_of_the_finished_tasks():
    plugin, terms = replay(Drawn, batch_size=9), Terms()
    train(learner(terms, plugin, epochs=1))
    assert {len(tasks) for tasks in plugin.tasks} == {9}
    counts = [tasks.bincount().tolist() for tasks in plugin.tasks]
    assert [9] in counts
    assert all(count in ([9], [4, 5], [5, 4]) for count in counts)
    assert [4, 5] in counts
    assert [5, 4] in counts
    n = len(terms.values) - len(plugin.tasks)
    assert n > 0
    assert all(value is None for value in terms.values[:n])
    assert all(value is not None for value in terms.values[n:])


def test_as_many_as_the_minibatch_has_and_never_the_same():
    plugin = replay(Drawn)
    train(learner(plugin, epochs=1), n=2)
    assert plugin.samples[0].shape == (32, 1, 8, 8)
    assert not torch.equal(plugin.samples[0], plugin.samples[1])


def test_samples_of_which_the_learner_is_unsure_are_left_out():
    def term_of(scores):
        plugin = replay(batch_size=8, confidence=0.9)
        plugin.finished = {0: 0}
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        nn.init.zeros_(model[1].weight)
        model[1].bias.data = torch.tensor(scores)
        terms = Terms()
        learner(terms, plugin, model=model, epochs=1).train(BLIND.train_stream[1])
        return terms.values[0]

    assert term_of([20.0, 20.0] + [0.0] * 8) is None
    assert term_of([20.0, 0.0] + [0.0] * 8) is not None


def test_the_weight_counts_each_old_task():
    values = {}
    for weight in (0.0, 1.0, 3.0):
        terms = Terms()
        train(learner(terms, replay(weight=weight), epochs=1), n=2)
        values[weight] = next((v for v in terms.values if v is not None), None)
    assert values[0.0] is None
    assert values[3.0] == pytest.approx(3 * values[1.0])


def test_same_seed_same_run_and_no_draw_from_global_generators():
    def run(plugins):
        torch.manual_seed(3)
        model = train(learner(*plugins, epochs=2))
        return weights(model), torch.rand(1)

    torch.manual_seed(5)
    generator = hsf(1)
    plugins = [
        [replay(seed=4)],
        [replay(seed=4)],
        [replay(seed=5)],
        [GeneratedReplayPlugin(generator.model, generator, new_task="experience", seed=4)],
        [],
    ]
    first, again, other, trained_beside, without = map(run, plugins)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert all(torch.equal(o[1], without[1]) for o in (first, other, trained_beside))


def test_sampling_leaves_the_generator_as_it_was():
    plugin = replay()
    before = copy.deepcopy(plugin.generator.state_dict())
    train(learner(plugin, epochs=1))
    after = plugin.generator.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items() if torch.is_tensor(v))
    assert plugin.generator.training


def test_between_experiences_it_keeps_the_generator_and_nothing_else():
    plugin = replay()
    strategy = learner(plugin, epochs=1)
    model = train(strategy)
    both = SimpleNamespace(model=model, generator=plugin.generator)
    assert floats_kept(strategy) == floats_kept(both)
    assert raw_samples_kept(strategy) == 0


def test_one_generator_for_replay_and_recognition_is_trained_once():
    torch.manual_seed(0)
    generator = hsf(3)
    model = TaskConditional(network(), hypernetwork="isolated", seed=0)
    inference = TaskInferencePlugin(
        TaskRecognizer(generator.model), generator, new_task="experience"
    )
    rehearsal = GeneratedReplayPlugin(generator.model, seed=0)
    train(learner(rehearsal, inference, model=model))
    assert generator.clock.train_exp_counter == 3
    assert list(rehearsal.finished) == inference.recognizer.tasks == [0, 1, 2]
    twice = GeneratedReplayPlugin(generator.model, generator, seed=0)
    with pytest.raises(ValueError, match="both train the same strategy: give one"):
        train(learner(twice, inference, model=copy.deepcopy(model)))


class Stopped(Exception):
    pass


class Stop(SupervisedPlugin):
    transient = ("at", "n")

    def __init__(self, at=0):
        super().__init__()
        self.at, self.n = at, 0

    def before_training_iteration(self, strategy, **kwargs):
        self.n += 1
        if self.n == self.at:
            raise Stopped


def beside(*plugins):
    torch.manual_seed(7)
    generator = hsf(2)
    plugin = GeneratedReplayPlugin(generator.model, generator, new_task="experience", seed=0)
    return learner(plugin, *plugins, epochs=3)


@pytest.mark.slow
def test_stopped_within_an_experience_and_resumed_it_ends_the_same(tmp_path):
    whole = beside(Stop())
    train(whole)
    n = whole.clock.train_iterations
    for at in (n // 2, n - 1):
        folder = tmp_path / str(at)
        with pytest.raises(Stopped):
            train(beside(CheckpointPlugin(folder), Stop(at)))
        strategy = beside(Stop(), CheckpointPlugin(folder))
        start = resume(strategy, folder)
        for experience in BLIND.train_stream[start:3]:
            strategy.train(experience)
        assert torch.equal(weights(strategy.model), weights(whole.model))


def test_between_two_experiences(tmp_path):
    whole = train(beside())
    strategy = beside()
    train(strategy, n=2)
    save(strategy, tmp_path, BLIND)
    other = beside()
    assert resume(other, tmp_path) == 2
    other.train(BLIND.train_stream[2])
    assert torch.equal(weights(other.model), weights(whole))


def test_what_cannot_work_is_refused():
    model = HypernetSDEFlow(64, seed=0, latent_dim=4)
    with pytest.raises(TypeError, match=r"a model with sample\(n, task, generator=\)"):
        GeneratedReplayPlugin(network())
    with pytest.raises(ValueError, match="make its HypernetSDEFlow without output_dim"):
        GeneratedReplayPlugin(HypernetSDEFlow(64, output_dim=10, seed=0))
    with pytest.raises(ValueError, match="strategy must be the one that trains the generator"):
        GeneratedReplayPlugin(model, hsf(1))
    with pytest.raises(ValueError, match=r"the generator never saw task 0, only \[\]: give"):
        train(learner(GeneratedReplayPlugin(model, new_task="experience"), epochs=1), n=2)
    with pytest.raises(ValueError, match=r"makes samples of 9 numbers, .* the same stream"):
        small = HypernetSDEFlow(9, seed=0, latent_dim=4)
        train(learner(GeneratedReplayPlugin(small), epochs=1), n=1)
    with pytest.raises(ValueError, match=r'has the task label 0.*new_task="experience"'):
        train(learner(GeneratedReplayPlugin(copy.deepcopy(trained())), epochs=1), n=2)
    with pytest.raises(ValueError, match="is among the plugins twice"):
        train(learner(replay(), replay(), epochs=1), n=1)


class OneHot(Naive):
    """Class scores against probabilities of its own making."""

    def _unpack_minibatch(self):
        super()._unpack_minibatch()
        self.mbatch[1] = nn.functional.one_hot(self.mbatch[1], 10).float()


@pytest.mark.parametrize("criterion", [nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss()])
def test_targets_that_are_probabilities_stay_so(criterion):
    watched = Terms()
    torch.manual_seed(1)
    model = network()
    strategy = OneHot(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), 5e-3),
        criterion=criterion,
        train_mb_size=32,
        train_epochs=10,
        plugins=[replay(), watched],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    train(strategy)
    values = [value for value in watched.values if value is not None]
    assert min(values) >= 0
    assert min(accuracy(model, e) for e in BLIND.test_stream[:2]) > 0.4
