"""Any torchmetrics metric, any loss and any Avalanche metric in matrix and forgetting."""

import math
from functools import partial

import pytest
import torch
from avalanche.evaluation.metrics import Accuracy, TaskAwareAccuracy
from avalanche.evaluation.metrics.accuracy import MinibatchAccuracy
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from test_metrics import run
from torch import nn
from torchmetrics import Accuracy as TorchAccuracy
from torchmetrics import (
    ConfusionMatrix,
    F1Score,
    MeanAbsoluteError,
    MeanSquaredError,
    MetricCollection,
    R2Score,
)

from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.evaluation import (
    ErrorMatrix,
    ErrorRateMatrix,
    ExperienceBWT,
    ExperienceForgetting,
    Measurement,
    MSEMatrix,
    StreamBWT,
    StreamForgetting,
    forgetting,
    measure_bwt_metrics,
    measure_forgetting_metrics,
    measure_metrics,
)
from avalanche_hsf.forensics.findings import accuracy_on

WHERE = "eval_phase/test_stream"


def in_parts(measure, output, target, **options):
    measurement = Measurement(measure, **options)
    for rows in (slice(0, 2), slice(2, 9), slice(9, 11)):
        measurement.update(output[rows], target[rows])
    return measurement.result()


@pytest.mark.parametrize(
    "loss",
    [
        nn.L1Loss(),
        nn.L1Loss(reduction="none"),
        nn.HuberLoss(),
        nn.BCEWithLogitsLoss(),
        nn.functional.mse_loss,
        lambda output, target: (output - target).abs().max(dim=1).values,
        partial(nn.functional.smooth_l1_loss, beta=0.5),
    ],
)
def test_a_loss_does_not_depend_on_how_it_is_batched(loss):
    output, target = torch.randn(11, 4).double(), torch.rand(11, 4).double()
    whole = float(loss(output, target).mean())
    assert math.isclose(in_parts(loss, output, target), whole, rel_tol=1e-12)
    assert Measurement(loss).higher_is_better is False


def test_sums_are_divided_by_the_rows():
    output, target = torch.randn(11, 4), torch.randint(4, (11,))
    for reduction in ("none", "sum", "mean"):
        value = in_parts(nn.CrossEntropyLoss(reduction=reduction), output, target)
        assert value == pytest.approx(float(nn.functional.cross_entropy(output, target)))


@pytest.mark.parametrize(
    ("metric", "higher"),
    [(MeanAbsoluteError(), False), (MeanSquaredError(), False), (R2Score(), True)],
)
def test_a_torchmetrics_metric_is_what_it_is_over_the_whole(metric, higher):
    output, target = torch.randn(11), torch.randn(11)
    expected = float(metric.clone()(output, target))
    assert in_parts(metric, output, target) == pytest.approx(expected, rel=1e-5)
    assert Measurement(metric).higher_is_better is higher


@pytest.mark.parametrize(
    ("measure", "options", "higher"),
    [
        (F1Score(task="multiclass", num_classes=10, average="macro"), {}, True),
        (TorchAccuracy(task="multiclass", num_classes=10), {}, True),
        (Accuracy(), {"higher_is_better": True}, True),
        (nn.CrossEntropyLoss(reduction="none"), {}, False),
    ],
)
def test_positive_forgetting_is_worse_whichever_way_a_measure_points(measure, options, higher):
    torch.manual_seed(0)
    benchmark = SplitDigits(2, seed=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    matrix, rates = ErrorMatrix(measure, **options), ErrorRateMatrix()
    spans = {"experience": True, "stream": True}
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        train_epochs=5,
        evaluator=EvaluationPlugin(
            matrix,
            rates,
            measure_forgetting_metrics(measure, **spans, **options),
            measure_bwt_metrics(measure, **spans, **options),
            loggers=[],
        ),
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        values = strategy.eval(benchmark.test_stream)
    assert matrix.higher_is_better is higher
    forgotten = matrix.forgetting()
    assert forgotten[0] > 0.2 and forgotten[1] == 0 and rates.forgetting()[0] > 0.2
    expected = forgetting(matrix.result(), higher_is_better=higher)
    assert torch.equal(forgotten, expected)
    name = Measurement(measure, **options).name
    first = pytest.approx(float(forgotten[0]))
    assert values[f"Experience{name}Forgetting/{WHERE}/Task000/Exp000"] == first
    assert values[f"Stream{name}Forgetting/{WHERE}"] == first
    assert -values[f"Experience{name}BWT/{WHERE}/Task000/Exp000"] == first
    assert -values[f"Stream{name}BWT/{WHERE}"] == first


def test_one_object_in_many_metrics_shares_no_state():
    metric = MeanAbsoluteError()
    matrix = ErrorMatrix(metric)
    values = run(
        measure_metrics(metric, minibatch=True, epoch=True, experience=True, stream=True),
        measure_forgetting_metrics(metric, experience=True, stream=True),
        matrix,
        MSEMatrix(),
        ErrorMatrix(lambda output, target: (output - target).abs(), higher_is_better=False),
    )[-1]
    assert matrix.result().tolist() == [[1.0] * 3, [3.0] * 3, [2.0] * 3]
    assert values[f"MeanAbsoluteError_Stream/{WHERE}/Task002"] == 2.0
    assert values["MeanAbsoluteError_Epoch/train_phase/train_stream/Task002"] == 3.0
    assert values[f"StreamMeanAbsoluteErrorForgetting/{WHERE}"] == 0.0
    assert torch.equal(values[f"lambdaMatrix/{WHERE}"], matrix.result())
    assert metric.update_count == 0


def test_a_stream_of_nothing_to_average_is_nan():
    loss = nn.L1Loss()
    values = run(StreamForgetting(loss), StreamBWT(loss))
    assert math.isnan(values[0][f"StreamL1LossForgetting/{WHERE}"])
    assert math.isnan(values[0][f"StreamL1LossBWT/{WHERE}"])
    assert values[1][f"StreamL1LossForgetting/{WHERE}"] == 2.0
    assert math.isnan(StreamForgetting(loss).result())


def test_a_factory_of_matrices():
    make = partial(ErrorMatrix, nn.BCEWithLogitsLoss())
    assert str(make()) == "BCEWithLogitsLossMatrix" and not make().higher_is_better


@pytest.mark.parametrize(
    "make", [ErrorMatrix, ExperienceForgetting, StreamForgetting, ExperienceBWT]
)
@pytest.mark.parametrize(
    ("measure", "error", "message"),
    [
        (Accuracy(), ValueError, "Accuracy does not say whether higher is better"),
        (ConfusionMatrix(task="binary"), ValueError, "BinaryConfusionMatrix does not say"),
        (MeanAbsoluteError, TypeError, "must be an instance, got the class MeanAbsoluteError"),
        (MinibatchAccuracy(), TypeError, "MinibatchAccuracy is a plugin metric"),
        (MetricCollection([R2Score()]), TypeError, "MetricCollection must give one number"),
        (3.0, TypeError, "must be a torchmetrics metric, a loss or an Avalanche metric, got 3.0"),
    ],
)
def test_what_is_no_measure(make, measure, error, message):
    with pytest.raises(error, match=message):
        make(measure)


def test_a_measure_that_gives_no_scalar():
    y = torch.tensor([0, 1, 1])
    confusion = Measurement(ConfusionMatrix(task="binary"), higher_is_better=True)
    confusion.update(y, y)
    with pytest.raises(TypeError, match="BinaryConfusionMatrix must give one number"):
        confusion.result()
    by_task = Measurement(TaskAwareAccuracy(), higher_is_better=True)
    by_task._metric.update(y, y, 0)
    by_task._is_empty = False
    with pytest.raises(TypeError, match="TaskAwareAccuracy must give one number"):
        by_task.result()
    with pytest.raises(ValueError, match="a scalar or one value per row"):
        Measurement(lambda output, target: torch.zeros(2)).update(y, y)
    with pytest.raises(TypeError, match="True or False"):
        Measurement(nn.L1Loss(), higher_is_better="no")


@pytest.mark.parametrize(
    "loss", [nn.L1Loss(), nn.MSELoss(), lambda output, target: output - target]
)
def test_shapes_that_would_be_broadcast(loss):
    with pytest.raises(ValueError, match="in the shape of their targets"):
        Measurement(loss).update(torch.zeros(5, 1), torch.zeros(5))


def test_without_a_minibatch_it_is_nan():
    measurement = Measurement(R2Score())
    assert math.isnan(measurement.result())
    measurement.update(torch.randn(5), torch.randn(5))
    assert not math.isnan(measurement.result())
    measurement.reset()
    assert math.isnan(measurement.result())


def test_accuracies_and_error_rates_agree_with_torchmetrics():
    torch.manual_seed(0)
    benchmark = SplitDigits(5, seed=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    matrix = ErrorRateMatrix()
    strategy = Naive(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-2),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=32,
        evaluator=EvaluationPlugin(matrix, loggers=[]),
        eval_mb_size=7,
    )
    strategy.train(benchmark.train_stream[0])
    strategy.train(benchmark.train_stream[1])
    strategy.eval(benchmark.test_stream)
    expected = []
    for experience in benchmark.test_stream:
        x = torch.stack([sample[0] for sample in experience.dataset])
        y = torch.tensor([sample[1] for sample in experience.dataset])
        accuracy = TorchAccuracy(task="multiclass", num_classes=10, average="micro")
        expected.append(float(accuracy(model.eval()(x), y)))
        assert accuracy_on(model, experience) == pytest.approx(100 * expected[-1], rel=1e-6)
        assert accuracy_on(model, (x, y)) == pytest.approx(100 * expected[-1], rel=1e-6)
    assert 0 < sum(expected) < len(expected)  # neither all nor nothing
    rates = [1 - accuracy for accuracy in expected]
    assert matrix.result()[-1].tolist() == pytest.approx(rates, rel=1e-6)
