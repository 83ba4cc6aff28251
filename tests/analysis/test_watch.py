"""Drift and LossTerms, through Avalanche's evaluator and loggers."""

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.logging import BaseLogger, TensorboardLogger
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.analysis import Drift, GradientConflict, LossTerms
from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import HSFStrategy

DIGITS = SplitDigits(5, seed=0)


class Log(BaseLogger):
    """All values by name, in order."""

    def __init__(self):
        super().__init__()
        self.values = {}

    def log_single_metric(self, name, value, x_plot):
        self.values.setdefault(name, []).append(value)


def naive(model, *metrics, lr=0.1, train_epochs=4, plugins=(), logger=None):
    return Naive(
        model=model,
        optimizer=torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        train_epochs=train_epochs,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(*metrics, loggers=[logger or Log()]),
    )


def test_drift_of_what_is_trained_and_of_what_is_not():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    model[1].requires_grad_(False)
    drift, log = Drift(), Log()
    strategy = naive(model, drift, logger=log)
    start = [p.detach().clone() for p in model[3].parameters()]
    strategy.train(DIGITS.train_stream[0])
    moved = sum(
        (p.detach() - s).square().sum() for p, s in zip(model[3].parameters(), start, strict=True)
    )
    size = sum(s.square().sum() for s in start)
    at = "Drift_Epoch/train_phase/train_stream/Task000"
    assert log.values[f"{at}/1"] == [0.0] * 4
    assert log.values[f"{at}/3"][-1] == pytest.approx(float((moved / size).sqrt()))
    assert log.values[f"{at}/3"] == sorted(log.values[f"{at}/3"])
    assert drift.result()["3"] == log.values[f"{at}/3"][-1]
    strategy.train(DIGITS.train_stream[1])  # starts anew from where the experience began
    assert log.values[f"{at[:-1]}1/3"][0] < log.values[f"{at}/3"][-1]


@pytest.mark.parametrize(("kind", "moves"), [("isolated", False), ("mlp", True)])
def test_drift_of_what_is_written_for_old_tasks(kind, moves):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    model, log = TaskConditional(network, hypernetwork=kind, seed=0), Log()
    strategy = naive(model, Drift(every=2), logger=log)
    strategy.train(DIGITS.train_stream[:3])
    at = "WrittenDrift_Epoch/train_phase/train_stream"
    assert not any(name.startswith(f"{at}/Task000") for name in log.values)
    for old in (0, 1):
        values = log.values[f"{at}/Task002/Task{old}"]
        assert len(values) == 2
        assert (min(values) > 1e-3) if moves else (max(values) < 1e-5)


def test_tensorboard_takes_it(tmp_path):
    pytest.importorskip("tensorboard")
    logger = TensorboardLogger(tmp_path)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    naive(model, Drift(), logger=logger).train(DIGITS.train_stream[0])
    logger.writer.flush()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert len(events.Scalars("Drift_Epoch/train_phase/train_stream/Task000/1")) == 4


class Total(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.losses = []

    def after_backward(self, strategy, **kwargs):
        self.losses.append(float(strategy.loss.detach()))


def paper(*plugins, log=None, metrics=(), **options):
    return HSFStrategy.from_preset(
        "paper",
        input_dim=3,
        seed=0,
        train_epochs=6,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(*metrics, loggers=[log or Log()]),
        **options,
    )


def test_terms_sum_to_the_loss_and_watching_changes_nothing():
    stream = SyntheticManifolds(40).train_stream
    ends = []
    for metrics in ([], [LossTerms()]):
        torch.manual_seed(0)
        total, log = Total(), Log()
        strategy = paper(total, log=log, metrics=metrics)
        strategy.train(stream[:2])
        ends.append([p.detach().clone() for p in strategy.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    at = "LossTerm_Epoch/train_phase/train_stream/Task001"
    terms = {name: log.values[f"{at}/{name}"] for name in ("recon", "nll", "replay", "sep")}
    # Replay comes every fifth epoch, the first included.
    assert [len(values) for values in terms.values()] == [6, 6, 2, 6]
    first = sum(values[0] for values in terms.values())
    assert first == pytest.approx(total.losses[6], rel=1e-5)
    gradient = log.values["LossTermGradient_Epoch/train_phase/train_stream/Task001/sep"]
    assert min(gradient) > 0
    latents = "Latents_Epoch/train_phase/train_stream/Task001"
    assert 0.2 < log.values[f"{latents}/diffusion"][0] < 0.8
    assert log.values[f"{latents}/std"][0] > 0


def test_terms_of_any_strategy():
    log = Log()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    naive(model, LossTerms(every=2), logger=log).train(DIGITS.train_stream[0])
    assert set(log.values) == {
        f"LossTerm{kind}_Epoch/train_phase/train_stream/Task000/recon" for kind in ("", "Gradient")
    }
    assert all(len(values) == 2 for values in log.values.values())


def test_gradient_conflict_over_training():
    """Two classes against two others: the last layer's gradients pull against each other."""
    log = Log()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    conflict = GradientConflict(DIGITS.train_stream, every=2)
    strategy = naive(model, conflict, logger=log)
    strategy.train(DIGITS.train_stream[:3])
    names = {name.split("/", 4)[-1] for name in log.values if "Task002" in name}
    assert names == {f"Exp{old}/{part}" for old in (0, 1) for part in ("1", "3")}
    values = log.values["GradientConflict_Epoch/train_phase/train_stream/Task001/Exp0/3"]
    assert len(values) == 2 and min(values) >= -1 and max(values) < 0
    assert conflict.result()["Exp1/3"] < 0


def test_the_conflict_metric_changes_nothing():
    ends = []
    for metrics in ([], [GradientConflict(SyntheticManifolds(40).train_stream, every=2)]):
        torch.manual_seed(0)
        strategy = paper(metrics=metrics)
        strategy.train(SyntheticManifolds(40).train_stream[:2])
        ends.append([p.detach().clone() for p in strategy.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
