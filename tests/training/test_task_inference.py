"""Evaluation by inferred task labels, on streams with labels and without."""

import pytest
import torch
from avalanche.benchmarks import (
    benchmark_from_datasets,
    split_online_stream,
    tensors_benchmark,
    with_task_labels,
)
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.evaluation import ErrorRateMatrix, TaskConfusion
from avalanche_hsf.inference import EntropyScore, ReconstructionScore, SubspaceScore, TaskRecognizer
from avalanche_hsf.models import HypernetSDEFlow, MLPAutoencoder, TaskConditional
from avalanche_hsf.training import (
    CommitPlugin,
    GeneratedReplayPlugin,
    HSFStrategy,
    TaskInferencePlugin,
)
from avalanche_hsf.training.plugins._parts import Parts


def _digits(**options):
    return SplitDigits(5, shuffle=False, **options)


def _recognizer(epochs=6):
    """A plain autoencoder for each task, the quickest."""
    torch.manual_seed(0)
    model = TaskConditional(MLPAutoencoder(64, latent_dim=12), seed=0)
    strategy = _Autoencoding(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=5e-3),
        criterion=nn.MSELoss(),
        train_mb_size=32,
        train_epochs=epochs,
        plugins=[CommitPlugin()],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    return TaskRecognizer(model, ReconstructionScore()), strategy


class _Autoencoding(Naive):
    def _unpack_minibatch(self):
        super()._unpack_minibatch()
        self.mbatch[0] = self.mbatch[0].flatten(1)
        self.mbatch[1] = self.mbatch[0]


def _strategy(plugins, metrics=(), **options):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 40), nn.ReLU(), nn.Linear(40, 10))
    model = TaskConditional(network, masking=True, seed=0)
    return Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=5e-3),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=4,
        eval_mb_size=100,
        plugins=[CommitPlugin(), *plugins],
        evaluator=EvaluationPlugin(accuracy_metrics(stream=True), *metrics, loggers=[]),
        **options,
    )


def _plugin(new_task="label", **options):
    torch.manual_seed(0)
    hsf = HSFStrategy.from_preset(
        input_dim=64, seed=0, train_mb_size=48, train_epochs=12, evaluator=None
    )
    return TaskInferencePlugin(TaskRecognizer(hsf.model), hsf, new_task=new_task, **options)


def _accuracy(strategy, stream):
    results = strategy.eval(stream)
    return next(v for k, v in results.items() if k.startswith("Top1_Acc_Stream"))


@pytest.fixture(scope="module")
def run():
    """Trained on three tasks of a stream without labels."""
    benchmark = _digits(return_task_id=False)
    plugin = _plugin("experience")
    confusion = TaskConfusion(plugin)
    strategy = _strategy([plugin], [confusion])
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience, eval_streams=[])
    accuracy = _accuracy(strategy, benchmark.test_stream[:3])
    return benchmark, plugin, confusion, strategy, accuracy


def test_a_stream_without_labels_is_learned_without_forgetting(run):
    _, plugin, _, _, accuracy = run
    assert plugin.recognizer.tasks == [0, 1, 2]
    assert accuracy > 0.85  # a learner that forgets has a third


@pytest.mark.parametrize("new_task", ["experience", "novelty"])
def test_a_stream_whose_samples_have_no_label_at_all(new_task):
    digits = _digits(return_task_id=False)
    benchmark = benchmark_from_datasets(
        train=[_without_labels(experience) for experience in digits.train_stream[:2]],
        test=[_without_labels(experience) for experience in digits.test_stream[:2]],
    )
    assert not hasattr(benchmark.train_stream[0], "task_labels")
    plugin = _plugin(new_task)
    strategy = _strategy([plugin])
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[])
    assert strategy.model.tasks == plugin.recognizer.tasks == [0, 1]
    assert _accuracy(strategy, benchmark.test_stream) > 0.85


def _without_labels(experience):
    x, y = zip(*((item[0], int(item[1])) for item in experience.dataset), strict=True)
    tensors = torch.utils.data.TensorDataset(torch.stack(x), torch.tensor(y))
    return AvalancheDataset([tensors], data_attributes=[DataAttribute(list(y), "targets")])


def test_the_confusion_counts_every_sample_once(run):
    benchmark, _, confusion, _, accuracy = run
    matrix = confusion.result()
    sizes = [len(experience.dataset) for experience in benchmark.test_stream[:3]]
    assert matrix.sum(dim=1).tolist() == sizes
    assert confusion.accuracy() >= accuracy - 0.05


def test_metrics_see_the_labels_of_the_stream(run):
    benchmark, _, _, strategy, _ = run
    seen = []
    strategy.plugins.append(_Watch(seen))
    strategy.eval(benchmark.test_stream[:2])
    strategy.plugins.pop()
    assert set(torch.cat(seen).tolist()) == {0}


class _Watch(CommitPlugin):
    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def after_eval_iteration(self, strategy, **kwargs):
        self.seen.append(strategy.mb_task_id.clone())


@pytest.mark.slow
def test_labels_of_the_stream_or_of_our_own_are_the_same(run):
    *_, accuracy = run
    benchmark = _digits(return_task_id=True)
    strategy = _strategy([_plugin("label")])
    for experience in benchmark.train_stream[:3]:
        strategy.train(experience, eval_streams=[])
    assert _accuracy(strategy, benchmark.test_stream[:3]) == pytest.approx(accuracy, abs=1e-6)


def test_a_task_that_comes_back_is_known(run):
    benchmark, plugin, *_ = run
    assert [plugin.task_of(experience) for experience in benchmark.train_stream] == [0, 1, 2, 3, 3]


def test_a_stream_without_labels_is_refused_where_labels_count():
    benchmark = _digits(return_task_id=False)
    recognizer, companion = _recognizer(epochs=1)
    strategy = _strategy([TaskInferencePlugin(recognizer, companion)])
    strategy.train(benchmark.train_stream[0], eval_streams=[])
    with pytest.raises(ValueError, match='new_task="experience"'):
        strategy.train(benchmark.train_stream[1], eval_streams=[])


def test_the_strategys_own_model_recognizes_by_its_entropy():
    benchmark = _digits(return_task_id=False)
    strategy = _strategy([])
    plugin = TaskInferencePlugin(
        TaskRecognizer(strategy.model, EntropyScore()), new_task="experience"
    )
    strategy.plugins.append(plugin)
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience, eval_streams=[])
    assert _accuracy(strategy, benchmark.test_stream[:2]) > 0.6


@pytest.mark.parametrize("eval_every", [0, 1])
def test_a_periodic_evaluation_ends_with_the_task_that_was_learned(eval_every):
    benchmark = _digits(return_task_id=False)
    recognizer, companion = _recognizer()
    matrix = ErrorRateMatrix()
    plugin = TaskInferencePlugin(recognizer, companion, new_task="experience")
    strategy = _strategy([plugin], [matrix], eval_every=eval_every)
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience, eval_streams=[benchmark.test_stream[:2]])
    last = matrix.result()[1]
    assert last.max() < 0.3
    strategy.eval(benchmark.test_stream[:2])
    assert torch.equal(matrix.result()[1], last)


def test_tasks_are_counted_right_in_any_order():
    benchmark = _digits(return_task_id=True)
    recognizer, companion = _recognizer()
    plugin = TaskInferencePlugin(recognizer, companion)
    confusion = TaskConfusion(plugin)
    strategy = _strategy([plugin], [confusion])
    for i in (3, 1):
        strategy.train(benchmark.train_stream[i], eval_streams=[])
    strategy.eval(benchmark.test_stream)
    assert confusion.accuracy() > 0.7
    assert plugin.trained == {3: {3}, 1: {1}}


def test_calibration_sees_all_of_an_experience():
    benchmark = _digits(return_task_id=True)
    recognizer, companion = _recognizer(epochs=1)
    experience = benchmark.train_stream[0]
    n = len(experience.dataset) - 1  # by class: one half is one digit
    plugin = TaskInferencePlugin(recognizer, companion, n_samples=n)
    last = torch.stack([experience.dataset[i][0] for i in range(n + 1)])[-20:]
    drawn = plugin._samples(experience)
    found = [any(torch.equal(x, y) for y in drawn) for x in last]
    assert len(drawn) == n and sum(found) >= 18


def _refused(plugin, match, **options):
    strategy = _strategy([plugin], **options)
    before = [p.detach().clone() for p in strategy.model.parameters()]
    with pytest.raises((TypeError, ValueError), match=match):
        strategy.train(_digits().train_stream[0], eval_streams=[])
    assert strategy.clock.train_iterations == 0
    after = list(strategy.model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_cannot_be_recognized_by_is_refused_before_training():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    classifier = TaskConditional(network, seed=0)
    trainer = Naive(
        model=classifier,
        optimizer=torch.optim.SGD(classifier.parameters(), 0.1),
        evaluator=EvaluationPlugin(loggers=[]),
    )
    _refused(TaskInferencePlugin(TaskRecognizer(classifier), trainer), "score a classifier by")
    recognizer, _ = _recognizer(epochs=1)
    _refused(TaskInferencePlugin(recognizer), "nobody trains")
    other = HSFStrategy.from_preset(input_dim=5, evaluator=None)
    _refused(TaskInferencePlugin(TaskRecognizer(other.model), other), "5 features")
    model = HypernetSDEFlow(64, seed=0)
    without = HSFStrategy(
        model=model, optimizer=torch.optim.SGD(model.parameters(), 0.1), evaluator=None
    )
    _refused(TaskInferencePlugin(TaskRecognizer(model), without), "nothing fits one")


def test_a_strategy_does_not_train_itself():
    hsf = HSFStrategy.from_preset(input_dim=64, seed=0, train_epochs=1, evaluator=None)
    hsf.plugins.append(TaskInferencePlugin(TaskRecognizer(hsf.model), hsf))
    with pytest.raises(ValueError, match="give strategy=None"):
        hsf.train(_digits().train_stream[0])


def test_parts_of_an_online_experience_are_no_tasks():
    benchmark = _digits(return_task_id=False)
    recognizer, companion = _recognizer(epochs=1)
    plugin = TaskInferencePlugin(recognizer, companion, new_task="experience")
    parts = split_online_stream(benchmark.train_stream, experience_size=40)
    with pytest.raises(ValueError, match="parts of an online experience"):
        _strategy([plugin]).train(next(iter(parts)))


def test_evaluation_before_the_first_task_goes_by_the_labels_given():
    benchmark = _digits(return_task_id=True)
    recognizer, companion = _recognizer(epochs=1)
    strategy = _strategy([TaskInferencePlugin(recognizer, companion)])
    before = _strategy([])
    assert _accuracy(strategy, benchmark.test_stream) == _accuracy(before, benchmark.test_stream)


def test_a_model_without_tasks_is_refused():
    recognizer, companion = _recognizer(epochs=1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        plugins=[TaskInferencePlugin(recognizer, companion)],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    with pytest.raises(TypeError, match="weights for each task"):
        strategy.train(_digits().train_stream[0])


def test_a_strategy_of_another_model_is_refused():
    recognizer, _ = _recognizer()
    _, companion = _recognizer()
    with pytest.raises(ValueError, match="the one that trains"):
        TaskInferencePlugin(recognizer, companion)


def _halves(**options):
    """A stream without any task label, and what is held out of it."""
    benchmark = _digits(return_task_id=False, **options)
    datasets = [experience.dataset for experience in benchmark.train_stream]
    parts = [[d.subset(list(range(k, len(d), 2))) for d in datasets] for k in (0, 1)]
    test = [experience.dataset for experience in benchmark.test_stream]
    return benchmark_from_datasets(train=parts[0], held_out=parts[1], test=test)


def _held_out(experience):
    return torch.stack([experience.dataset[i][0] for i in range(len(experience.dataset))])


def test_so_many_of_a_tasks_new_samples_are_turned_away():
    benchmark, away = _halves(), {}
    for stream in (None, benchmark.held_out_stream):
        recognizer, companion = _recognizer(epochs=60)
        plugin = TaskInferencePlugin(
            recognizer, companion, new_task="experience", calibrate_on=stream
        )
        _strategy([plugin]).train(benchmark.train_stream[0], eval_streams=[])
        new = _held_out(benchmark.test_stream[0])
        away[stream is None] = (recognizer.infer_tasks(new, unknown=0.1) == -1).float().mean()
    assert away[False] == pytest.approx(0.1, abs=0.08)
    assert away[True] > away[False]


def test_what_is_held_out_must_be_of_the_stream():
    benchmark, labelled = _halves(), _digits(return_task_id=True)
    recognizer, companion = _recognizer(epochs=1)

    def plugin(stream, new_task="experience"):
        return TaskInferencePlugin(recognizer, companion, new_task=new_task, calibrate_on=stream)

    strategy = _strategy([plugin(benchmark.held_out_stream[1:])])
    with pytest.raises(ValueError, match=r"no experience 0, only \[1, 2, 3, 4\]"):
        strategy.train(benchmark.train_stream[0])
    first = benchmark_from_datasets(train=[labelled.train_stream[2].dataset]).train_stream
    _refused(plugin(first), "has the classes")
    _refused(plugin(benchmark.held_out_stream[:0], "label"), "no experience 0")
    with pytest.raises(TypeError, match="calibrate_on must be a stream"):
        plugin(3)
    with pytest.raises(ValueError, match="not distinct"):
        plugin([benchmark.held_out_stream[0]] * 2)


def test_labels_of_what_is_held_out_count_under_label():
    labelled = _digits(return_task_id=True)
    recognizer, companion = _recognizer(epochs=1)
    strategy = _strategy(
        [TaskInferencePlugin(recognizer, companion, calibrate_on=_halves().held_out_stream)]
    )
    strategy.train(labelled.train_stream[0], eval_streams=[])
    with pytest.raises(ValueError, match="the task label 1"):
        strategy.train(labelled.train_stream[1], eval_streams=[])


@pytest.mark.parametrize("new_task", ["experience", "novelty"])
def test_a_stream_without_any_label_is_evaluated_too(new_task):
    benchmark = _halves()
    assert not hasattr(benchmark.train_stream[0], "task_labels")
    recognizer, companion = _recognizer()
    plugin = TaskInferencePlugin(recognizer, companion, new_task=new_task)
    confusion = TaskConfusion(plugin)
    strategy = _strategy([plugin], [confusion])
    for experience in benchmark.train_stream[:2]:
        strategy.train(experience, eval_streams=[])
        accuracy = _accuracy(strategy, benchmark.test_stream[:2])
    assert accuracy > 0.6 and confusion.accuracy() > 0.6


def test_which_task_is_right_is_not_guessed():
    benchmark = _digits(return_task_id=False)
    recognizer, companion = _recognizer(epochs=1)
    plugin = TaskInferencePlugin(recognizer, companion, new_task="experience")
    confusion = TaskConfusion(plugin)
    strategy = _strategy([plugin], [confusion])
    for i in (0, 1, 0):
        strategy.train(benchmark.train_stream[i], eval_streams=[])
    assert plugin.ambiguous == {0}
    strategy.eval(benchmark.test_stream[:2])
    with pytest.warns(UserWarning, match="trained as different tasks"):
        assert confusion.accuracy() != confusion.accuracy()
    strategy.eval(benchmark.test_stream[1:2])
    assert confusion.accuracy() >= 0


def test_classes_are_noted_and_one_sample_is_refused_before_training():
    benchmark = _digits(return_task_id=False)
    recognizer, companion = _recognizer(epochs=1)
    plugin = TaskInferencePlugin(recognizer, companion, new_task="experience")
    strategy = _strategy([plugin])
    strategy.train(benchmark.train_stream[1], eval_streams=[])
    assert recognizer.calibration.classes_of == {0: {2, 3}}
    one = benchmark_from_datasets(train=[benchmark.train_stream[0].dataset.subset([0])])
    before = strategy.clock.train_iterations
    with pytest.raises(ValueError, match="takes 2 at least"):
        strategy.train(one.train_stream[0], eval_streams=[])
    assert strategy.clock.train_iterations == before


def test_a_task_that_comes_back_is_evaluated_while_it_is_trained():
    benchmark = _digits(return_task_id=True)
    strategy = _strategy([], eval_every=1)
    plugin = TaskInferencePlugin(TaskRecognizer(strategy.model, EntropyScore()))
    strategy.plugins.append(plugin)
    for i in (0, 1, 0):
        strategy.train(benchmark.train_stream[i], eval_streams=[benchmark.test_stream[:2]])
    strategy.eval(benchmark.test_stream[:2])


def _stream(*parts):
    """A stream without labels, of these rows of experiences of the digits."""
    digits = _digits(return_task_id=False).train_stream
    return benchmark_from_datasets(
        train=[digits[i].dataset.subset(list(rows(len(digits[i].dataset)))) for i, rows in parts]
    ).train_stream


def _even(n):
    return range(0, n, 2)


def _odd(n):
    return range(1, n, 2)


def test_a_task_comes_back_with_other_samples():
    plugin = _plugin("novelty")
    strategy = _strategy([plugin])
    first, second, again = _stream((0, _even), (1, _even), (0, _odd))
    for experience in (first, second):
        strategy.train(experience, eval_streams=[])
    assert plugin.trained == {0: {0}, 1: {1}}
    with pytest.warns(UserWarning, match=r"experience 2 is taken for task 0, whose weights are tr"):
        strategy.train(again, eval_streams=[])
    assert plugin.trained[2] == {0}


class _Knows(TaskRecognizer):
    """Takes all samples for those of task 0."""

    deviation = -0.5

    def infer_tasks(self, x, **kwargs):
        return torch.zeros(len(x), dtype=torch.long)

    def deviations(self, x, group_size=1):
        return torch.full((len(x), len(self.tasks)), self.deviation)


@pytest.mark.parametrize(
    ("deviation", "rows", "task"),
    [
        (-0.5, [(1, _even)], 1),  # other classes: no return, however well they are known
        (-0.5, [(0, lambda n: range(n // 4))], 1),  # training on one class would lose the other
        (-0.5, [(0, _odd)], 0),
        (-3.0, [(0, _odd)], 0),
        (-9.0, [(0, _odd)], 1),  # the same classes in another domain
    ],
)
def test_classes_are_evidence_of_a_return(deviation, rows, task):
    recognizer, companion = _recognizer(epochs=1)
    recognizer = _Knows(recognizer.model, recognizer.score)
    recognizer.deviation = deviation
    plugin = TaskInferencePlugin(recognizer, companion, new_task="novelty")
    first, second = _stream((0, _even), *rows)
    _strategy([plugin]).train(first, eval_streams=[])
    assert plugin.task_of(second) == task


def _domains(label, n=2):
    """The same two digits, each time with the pixels in another order, under one task label."""
    data = _digits(return_task_id=False).train_stream[0].dataset
    x, y = torch.stack([item[0] for item in data]), torch.tensor([int(item[1]) for item in data])
    orders = [torch.randperm(64, generator=torch.Generator().manual_seed(k)) for k in range(n)]
    shown = [(x.flatten(1)[:, order].view_as(x), y) for order in orders]
    return tensors_benchmark(shown, shown[:1], task_labels=[label] * n).train_stream


def _replaying():
    hsf = HSFStrategy.from_preset(input_dim=64, seed=0, train_epochs=1, evaluator=None)
    return lambda **options: GeneratedReplayPlugin(hsf.model, hsf, seed=0, **options)


def _inferring():
    recognizer, companion = _recognizer(epochs=1)
    return lambda **options: TaskInferencePlugin(recognizer, companion, **options)


@pytest.mark.parametrize("make", [_inferring, _replaying])
@pytest.mark.parametrize("label", [0, 4])
def test_one_label_for_all_experiences_is_no_label(make, label):
    first, second = _domains(label)
    strategy = _strategy([make()()])
    strategy.train(first, eval_streams=[])
    strategy.train(first, eval_streams=[])  # the same once more
    with pytest.raises(ValueError, match=f'task label {label}, .*new_task="experience".*repeats'):
        strategy.train(second, eval_streams=[])
    elsewhere = _domains(label, n=3)[2:]
    with pytest.raises(ValueError, match="repeats=True"):
        strategy.train(elsewhere, eval_streams=[])


@pytest.mark.parametrize("make", [_inferring, _replaying])
def test_whoever_says_so_may_give_a_task_in_several_experiences(make):
    strategy = _strategy([make()(repeats=True)])
    for experience in _domains(0):
        strategy.train(experience, eval_streams=[])


@pytest.mark.parametrize("boundaries", [True, False])
def test_all_parts_of_an_online_experience_calibrate(boundaries):
    benchmark = _digits(return_task_id=True)
    strategy = _strategy([])
    score = SubspaceScore(8)
    plugin = TaskInferencePlugin(TaskRecognizer(strategy.model, score))
    confusion = TaskConfusion(plugin)
    strategy.plugins.append(plugin)
    strategy.evaluator = EvaluationPlugin(confusion, loggers=[])
    strategy.plugins.append(strategy.evaluator)
    whole = benchmark.train_stream[:2]
    parts = split_online_stream(
        whole, experience_size=10, access_task_boundaries=boundaries, seed=0
    )
    for part in with_task_labels(parts):
        strategy.train(part, eval_streams=[])
    for task, experience in enumerate(whole):
        x = torch.stack([item[0] for item in experience.dataset])
        assert torch.allclose(score.means[task], x.mean(dim=0), atol=1e-5)
    assert plugin.trained == {0: {0}, 1: {1}}
    strategy.eval(benchmark.test_stream[:2])
    assert confusion.accuracy() > 0.9


def test_parts_without_labels_are_refused_where_labels_count():
    recognizer, companion = _recognizer(epochs=1)
    strategy = _strategy([TaskInferencePlugin(recognizer, companion)])
    stream = _digits(return_task_id=False).train_stream[:2]
    parts = list(with_task_labels(split_online_stream(stream, experience_size=100, seed=0)))
    n = -(-len(stream[0].dataset) // 100)
    for part in parts[:n]:
        strategy.train(part, eval_streams=[])
    with pytest.raises(ValueError, match="repeats=True"):
        strategy.train(parts[n], eval_streams=[])


@pytest.mark.parametrize("n", [5, 16, 1000])
def test_parts_are_thinned_evenly(n):
    (experience,) = _digits(return_task_id=True).train_stream[:1]
    parts = list(split_online_stream([experience], experience_size=7, shuffle=False, seed=0))
    kept = Parts(n)
    x = torch.arange(len(experience.dataset)).unsqueeze(1)
    for part, new in zip(parts, x.split(7), strict=True):
        found = kept.take(part, 0, new).flatten()
    step = int(found[1] - found[0])
    assert found.tolist() == list(range(0, len(x), step))
    assert min(n, len(x)) / 2 <= len(found) <= n
