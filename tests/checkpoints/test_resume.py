"""A strategy that was stopped anywhere, and resumed, ends as one that was not."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from avalanche.benchmarks.scenarios import split_online_stream
from avalanche.models import SimpleMLP
from avalanche.training.supervised import JointTraining, Naive
from pipelines import (
    HSF,
    PIPELINES,
    STOCK,
    Stop,
    Stopped,
    equal,
    go_through,
    result_of,
    stock,
)

from avalanche_hsf.checkpoints import CheckpointError, CheckpointPlugin, resume, save
from avalanche_hsf.checkpoints.folder import checkpoints_in
from avalanche_hsf.checkpoints.strategy import state_of

QUICK = [
    *STOCK,
    *(name for name in HSF if name not in ("paper", "repaired")),
    "isolated soap ",
    "delta adam replay",
]


def interrupted(make, folder, at, **options):
    """The result of a pipeline that is stopped at an iteration, and resumed by a new strategy."""
    with pytest.raises(Stopped):
        go_through(*make([CheckpointPlugin(folder, **options), Stop(at)]))
    strategy, stream = make([Stop(), CheckpointPlugin(folder, **options)])
    torch.rand(3)  # a script may have used the generators
    return go_through(strategy, stream, resume(strategy, folder))


@pytest.mark.parametrize("name", QUICK)
def test_stopped_and_resumed_it_ends_the_same(name, tmp_path, points=(1 / 2,)):
    make = PIPELINES[name]
    whole = go_through(*make([Stop()]))
    n = Stop.n_iterations
    # The paper's hypernetwork has millions of weights, which take a second to write.
    every, points = (4, (1 / 2,)) if name in HSF else (1, points)
    for at in (min(int(point * n), n - 1) for point in points):
        result = interrupted(make, tmp_path / str(at), at, every=every)
        assert equal(result, whole), f"stopped at {at} of {n}"


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_every_kind_optimizer_and_plugin_wherever_it_stops(name, tmp_path):
    test_stopped_and_resumed_it_ends_the_same(name, tmp_path, points=(1 / 5, 1 / 2, 1))


@pytest.mark.parametrize(
    "name", ["replay", "isolated", pytest.param("repaired", marks=pytest.mark.slow)]
)
def test_between_two_calls_of_train(name, tmp_path):
    whole = go_through(*PIPELINES[name]())
    strategy, stream = PIPELINES[name]()
    for experience in stream.train_stream[:2]:
        strategy.train(experience)
        strategy.eval(stream.test_stream)
    save(strategy, tmp_path, stream)
    other, stream = PIPELINES[name]()
    assert resume(other, tmp_path) == 2
    assert equal(go_through(other, stream, 2), whole)


def test_a_memory_of_samples_that_the_stream_must_give(tmp_path):
    strategy, stream = PIPELINES["replay"]()
    strategy.train(stream.train_stream[0])
    with pytest.raises(CheckpointError, match=r"save\(strategy, folder, benchmark\)"):
        save(strategy, tmp_path)
    save(strategy, tmp_path, stream)
    other, stream = PIPELINES["replay"]()
    resume(other, tmp_path, stream)
    memory, kept = (
        next(p for p in s.plugins if hasattr(p, "storage_policy")).storage_policy.buffer
        for s in (other, strategy)
    )
    assert equal([x for x, *_ in memory], [x for x, *_ in kept])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("replay of transformed samples", marks=pytest.mark.slow),
        pytest.param("compact", marks=pytest.mark.slow),
        pytest.param("isolated soap ", marks=pytest.mark.slow),
    ],
)
def test_in_a_new_process_after_a_kill(name, tmp_path):
    def run(*words):
        script = [sys.executable, "-W", "ignore", Path(__file__).with_name("one.py")]
        return subprocess.run([*script, name, tmp_path, *words], timeout=120).returncode

    assert run("15") == -9
    assert run("0") == 0
    after = torch.load(tmp_path / "result.pt")
    assert equal(after, go_through(*PIPELINES[name]()))


def test_a_whole_stream_in_one_call(tmp_path):
    def through(strategy, stream, start=0):
        strategy.train(stream.train_stream[start:])
        strategy.eval(stream.test_stream)
        return result_of(strategy)

    for name in ("replay", "der", "delta adam replay"):
        make = PIPELINES[name]
        whole = through(*make())
        folder = tmp_path / name
        with pytest.raises(Stopped):
            through(*make([CheckpointPlugin(folder), Stop(20)]))
        strategy, stream = make([CheckpointPlugin(folder), Stop()])
        assert equal(through(strategy, stream, resume(strategy, folder)), whole)


def test_joint_training(tmp_path):
    def through(strategy, stream):
        strategy.train(stream.train_stream)
        strategy.eval(stream.test_stream)
        return result_of(strategy)

    make = stock(JointTraining.__name__)
    whole = through(*make())
    with pytest.raises(Stopped):
        through(*make([CheckpointPlugin(tmp_path), Stop(12)]))
    strategy, stream = make([CheckpointPlugin(tmp_path), Stop()])
    assert resume(strategy, tmp_path) == 0
    assert equal(through(strategy, stream), whole)


@pytest.mark.slow
def test_an_online_stream(tmp_path):
    def parts(stream):
        return list(split_online_stream(stream.train_stream, 8, access_task_boundaries=True))

    def through(strategy, stream, folder=None):
        online = parts(stream)
        for part in online[resume(strategy, folder) if folder else 0 :]:
            strategy.train(part)
        strategy.eval(stream.test_stream)
        return result_of(strategy)

    for name in ("replay", "ewc"):
        folder = tmp_path / name
        whole = through(*PIPELINES[name]())
        with pytest.raises(Stopped):
            through(*PIPELINES[name]([CheckpointPlugin(folder), Stop(17)]))
        strategy, stream = PIPELINES[name]([CheckpointPlugin(folder), Stop()])
        assert equal(through(strategy, stream, folder), whole)

    strategy, stream = PIPELINES[name]([CheckpointPlugin(folder), Stop()])
    start = resume(strategy, folder)
    with pytest.raises(CheckpointError, match="before resume, which sets the generators"):
        strategy.train(parts(stream)[start])


def test_checkpoints_change_nothing(tmp_path):
    for name in ("replay of transformed samples", "compact"):
        plain = go_through(*PIPELINES[name]())
        assert equal(go_through(*PIPELINES[name]([CheckpointPlugin(tmp_path / name)])), plain)


def test_a_resumed_run_can_be_stopped_again(tmp_path):
    make = PIPELINES["isolated adam replay"]
    whole = go_through(*make([Stop()]))
    for _ in range(40):
        strategy, stream = make([CheckpointPlugin(tmp_path), Stop(7)])
        try:
            result = go_through(strategy, stream, resume(strategy, tmp_path))
            break
        except Stopped:
            continue
    assert equal(result, whole)


def test_every_and_seconds_say_when(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "avalanche_hsf.checkpoints.checkpoint.Checkpoint.write",
        lambda checkpoint, path: written.append((checkpoint.experience, checkpoint.epoch)),
    )
    go_through(*PIPELINES["naive"]([CheckpointPlugin(tmp_path, every=2)]))
    assert written == [(i, epoch) for i in range(3) for epoch in (0, 2, 3)]
    written.clear()
    go_through(*PIPELINES["naive"]([CheckpointPlugin(tmp_path, seconds=1000)]))
    assert written == []


def test_short_experiences_cost_nothing(tmp_path, monkeypatch):
    looked = []

    def look(strategy, *args, **options):
        looked.append(strategy.clock.train_exp_counter)
        return state_of(strategy, *args, **options)

    monkeypatch.setattr("avalanche_hsf.checkpoints.plugin.state_of", look)
    go_through(*PIPELINES["naive"]([CheckpointPlugin(tmp_path, seconds=1000)]))
    assert looked == [0]  # whether it can be kept, before anything is trained


def test_two_files_are_kept(tmp_path):
    go_through(*PIPELINES["naive"]([CheckpointPlugin(tmp_path / "new" / "folder")]))
    assert len(checkpoints_in(tmp_path / "new" / "folder")) == 2
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2  # nothing half written is left


def test_without_a_checkpoint_it_starts_at_the_beginning(tmp_path):
    strategy, _ = PIPELINES["naive"]()
    assert resume(strategy, tmp_path) == 0
    assert resume(strategy, tmp_path / "none") == 0


def test_objects_stay_the_same(tmp_path):
    make = PIPELINES["ewc"]
    with pytest.raises(Stopped):
        go_through(*make([CheckpointPlugin(tmp_path), Stop(20)]))
    strategy, stream = make([CheckpointPlugin(tmp_path), Stop()])
    model, optimizer = strategy.model, strategy.optimizer
    matrix, weight = strategy.evaluator.metrics[0], strategy.model[0].weight
    go_through(strategy, stream, resume(strategy, tmp_path))
    assert strategy.model is model and strategy.optimizer is optimizer
    assert model[0].weight is weight
    assert matrix.result().shape == (3, 3)


def test_a_plugin_says_what_it_keeps(tmp_path):
    class Counting(Stop):
        """Its position in something that cannot be copied."""

        def __init__(self):
            super().__init__()
            self.numbers, self.n = iter(map(str, range(1000))), 0

        def state_dict(self):
            return {"n": self.n}

        def load_state_dict(self, state):
            for _ in range(state["n"] - self.n):
                next(self.numbers)
            self.n = state["n"]

        def before_training_exp(self, strategy, **kwargs):
            self.last, self.n = next(self.numbers), self.n + 1

    def through(start, stop):
        strategy, stream = PIPELINES["naive"]([plugin := Counting()])
        start = resume(strategy, tmp_path) if start else 0
        for experience in stream.train_stream[start:stop]:
            strategy.train(experience)
        save(strategy, tmp_path)
        return plugin.last

    through(0, 2)
    assert through(2, 3) == "2"


def test_a_plain_network_of_ones_own_in_a_bare_naive(tmp_path):
    def make(plugins=()):
        torch.manual_seed(0)
        net = SimpleMLP(num_classes=6, input_size=9, hidden_size=5)
        return Naive(
            model=net, optimizer=torch.optim.Adam(net.parameters()), evaluator=None, plugins=plugins
        )

    _, stream = PIPELINES["naive"]()
    first = make()
    for experience in stream.train_stream:
        first.train(experience)
    second = make([CheckpointPlugin(tmp_path)])
    second.train(stream.train_stream[0])
    third = make([CheckpointPlugin(tmp_path)])
    for experience in stream.train_stream[resume(third, tmp_path) :]:
        third.train(experience)
    assert equal(dict(first.model.state_dict()), dict(third.model.state_dict()))


def test_what_is_done_between_resume_and_train_counts(tmp_path):
    strategy, stream = PIPELINES["naive"]()
    strategy.train(stream.train_stream[0])
    save(strategy, tmp_path, stream)
    other, stream = PIPELINES["naive"]()
    resume(other, tmp_path)
    other.eval(stream.test_stream)
    other.optimizer.param_groups[0]["lr"] = 0.0
    before = other.model[0].weight.clone()
    other.train(stream.train_stream[1])
    assert torch.equal(other.model[0].weight, before)
    measured = other.evaluator.get_all_metrics()
    assert "Top1_Acc_Stream/eval_phase/test_stream/Task002" in measured
