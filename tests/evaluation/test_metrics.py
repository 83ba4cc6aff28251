"""Metrics in Avalanche's evaluation, checked against values known by construction."""

import math

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import InteractiveLogger, TensorboardLogger
from avalanche.training import Cumulative, Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.benchmarks import SplitDigits, reconstruction_benchmark
from avalanche_hsf.evaluation import (
    ErrorRateMatrix,
    MeanSquaredError,
    MSEMatrix,
    forgetting,
    mse_bwt_metrics,
    mse_forgetting_metrics,
    mse_metrics,
)

# After training experience i the model below puts out LEVELS[i] everywhere; samples are 0, so
# R[i, j] = LEVELS[i]^2 for every j.
LEVELS = [1.0, 3.0, 2.0]


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return torch.zeros_like(x) + self.level


class SetLevel(SupervisedPlugin):
    def after_training_exp(self, strategy, **kwargs):
        level = LEVELS[strategy.experience.current_experience]
        strategy.model.level.data.fill_(level)


def run(*metrics, strategy=Naive, loggers=(), eval_mb_size=4):
    model = Constant()
    evaluator = EvaluationPlugin(*metrics, loggers=list(loggers))
    learner = strategy(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        # Whatever the training loss is: the metrics do not look at it.
        criterion=lambda output, target: 17.0 + 0.0 * output.sum(),
        train_mb_size=5,
        eval_mb_size=eval_mb_size,
        plugins=[SetLevel()],
        evaluator=evaluator,
    )
    benchmark = reconstruction_benchmark([torch.zeros(10, 2, 3)] * 3)
    values = []
    learner.eval(benchmark.test_stream)  # before any training: no row of R
    for experience in benchmark.train_stream:
        learner.train(experience)
        values.append(learner.eval(benchmark.test_stream))
    return values


@pytest.mark.parametrize("strategy", [Naive, Cumulative])
def test_mse_forgetting_and_backward_transfer(strategy):
    matrix = MSEMatrix()
    values = run(
        mse_metrics(experience=True, stream=True),
        mse_forgetting_metrics(experience=True, stream=True),
        mse_bwt_metrics(experience=True, stream=True),
        matrix,
        strategy=strategy,
    )
    where = "eval_phase/test_stream"
    last = values[-1]
    assert last[f"MSE_Stream/{where}/Task002"] == 4.0
    for j, forgotten in enumerate([4.0 - 1.0, 4.0 - 9.0]):
        place = f"{where}/Task00{j}/Exp00{j}"
        assert last[f"MSE_Exp/{place}"] == 4.0
        assert last[f"ExperienceMSEForgetting/{place}"] == forgotten
        assert last[f"ExperienceMSEBWT/{place}"] == -forgotten
    assert last[f"StreamMSEForgetting/{where}"] == (3.0 - 5.0) / 2
    assert last[f"StreamMSEBWT/{where}"] == (5.0 - 3.0) / 2
    # After the second experience only the first can have been forgotten.
    assert values[1][f"StreamMSEForgetting/{where}"] == 9.0 - 1.0
    r = torch.tensor([[1.0] * 3, [9.0] * 3, [4.0] * 3], dtype=torch.float64)
    assert torch.equal(matrix.result(), r)
    assert torch.equal(last[f"MSEMatrix/{where}"], r)
    assert forgetting(r).tolist() == [3.0, -5.0, 0.0]


def test_streams_are_kept_apart():
    model = Constant()
    metrics = mse_forgetting_metrics(experience=True)
    learner = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        criterion=nn.MSELoss(),
        plugins=[SetLevel()],
        evaluator=EvaluationPlugin(metrics, loggers=[]),
    )
    # Samples are 0 in the training stream and 1 in the test stream.
    benchmark = reconstruction_benchmark([torch.zeros(4, 3)] * 2, [torch.ones(4, 3)] * 2)
    for experience in benchmark.train_stream:
        learner.train(experience)
        learner.eval(benchmark.train_stream)
        values = learner.eval(benchmark.test_stream)
    name = "ExperienceMSEForgetting/eval_phase/{}_stream/Task000/Exp000"
    assert values[name.format("train")] == 3.0**2 - 1.0**2
    assert values[name.format("test")] == (3.0 - 1.0) ** 2 - 0.0


def test_forgetting_needs_a_square_matrix():
    with pytest.raises(ValueError, match=r"got shape \(2, 3\)"):
        forgetting(torch.zeros(2, 3))


def test_training_metrics():
    values = run(mse_metrics(minibatch=True, epoch=True))[-1]
    where = "train_phase/train_stream/Task002"
    assert values[f"MSE_MB/{where}"] == values[f"MSE_Epoch/{where}"] == 9.0


def test_the_matrix_of_an_unknown_stream():
    matrix = MSEMatrix()
    with pytest.raises(ValueError, match="no stream 'test'"):
        matrix.result()
    run(matrix)
    with pytest.raises(ValueError, match=r"only \['test'\]"):
        matrix.result("validation")
    matrix.reset()
    with pytest.raises(ValueError, match="no stream"):
        matrix.result()


def test_cells_that_were_not_measured_are_nan():
    matrix = MSEMatrix()
    model = Constant()
    learner = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        criterion=nn.MSELoss(),
        evaluator=EvaluationPlugin(matrix, loggers=[]),
    )
    benchmark = reconstruction_benchmark([torch.zeros(10, 3)] * 2)
    for i, experience in enumerate(benchmark.train_stream):
        learner.train(experience)
        learner.eval(benchmark.test_stream[i])
    assert matrix.result().isnan().tolist() == [[False, True], [True, False]]


def test_loggers_take_every_metric(tmp_path, capsys):
    loggers = [InteractiveLogger(), TensorboardLogger(tmp_path)]
    run(
        mse_metrics(experience=True, stream=True),
        mse_forgetting_metrics(stream=True),
        MSEMatrix(),
        loggers=loggers,
    )
    assert "StreamMSEForgetting/eval_phase/test_stream = -1.0000" in capsys.readouterr().out
    assert list(tmp_path.glob("events*"))


def test_mse_does_not_depend_on_how_it_is_batched():
    x, y = torch.randn(11, 4, dtype=torch.float64), torch.randn(11, 4, dtype=torch.float64)
    whole, parts = MeanSquaredError(), MeanSquaredError()
    whole.update(x, y)
    for rows in (slice(0, 2), slice(2, 9), slice(9, 11)):
        parts.update(x[rows], y[rows])
    assert math.isclose(whole.result(), parts.result(), rel_tol=1e-12)
    assert math.isclose(whole.result(), float(nn.functional.mse_loss(x, y)), rel_tol=1e-12)
    whole.reset()
    assert math.isnan(whole.result())


def test_outputs_and_targets_of_different_shape_are_not_broadcast():
    with pytest.raises(ValueError, match="in the shape of their targets"):
        MeanSquaredError().update(torch.zeros(5, 10), torch.zeros(5))


def test_the_error_rate_matrix_is_one_minus_avalanches_accuracy():
    benchmark = SplitDigits(3, seed=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    matrix = ErrorRateMatrix()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=3,
        evaluator=EvaluationPlugin(matrix, accuracy_metrics(experience=True), loggers=[]),
    )
    for i, experience in enumerate(benchmark.train_stream):
        strategy.train(experience)
        metrics = strategy.eval(benchmark.test_stream)
        accuracy = [
            metrics[f"Top1_Acc_Exp/eval_phase/test_stream/Task00{j}/Exp00{j}"] for j in range(3)
        ]
        assert matrix.result()[i].tolist() == pytest.approx([1 - a for a in accuracy])
