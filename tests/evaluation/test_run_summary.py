"""The summary of a run has the numbers of its logs, or says what is missing."""

import io
import math
import warnings

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, with_task_labels
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.benchmarks.utils.data_attribute import TaskLabels
from avalanche.evaluation.metrics import (
    Accuracy,
    accuracy_metrics,
    forgetting_metrics,
    loss_metrics,
)
from avalanche.training import JointTraining, Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from avalanche_hsf.benchmarks import SplitDigits, SyntheticManifolds
from avalanche_hsf.evaluation import (
    ErrorMatrix,
    ErrorRateMatrix,
    MSEMatrix,
    TrainingOrder,
    measure_metrics,
    mse_metrics,
    quiet_evaluator,
    summary,
)
from avalanche_hsf.logging import CompactLogger
from avalanche_hsf.training import HSFStrategy


def naive(*metrics, epochs=1, order=True, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        train_epochs=epochs,
        eval_mb_size=500,
        evaluator=EvaluationPlugin(
            *metrics, *[TrainingOrder()] * order, loggers=[CompactLogger(io.StringIO())]
        ),
        **options,
    )


def digits(n=3, *, labelled=False):
    return SplitDigits(n, seed=0, return_task_id=labelled)


def trained(strategy, benchmark, *, seen_only=False, n=None):
    """Trains and evaluates after each; returns the logged values of each evaluation."""
    logged = []
    for k, experience in enumerate(benchmark.train_stream[:n], start=1):
        strategy.train(experience)
        logged.append(strategy.eval(benchmark.test_stream[: k if seen_only else None]))
    return logged


def value(logged, name, j):
    (found,) = (v for k, v in logged.items() if k.startswith(name) and k.endswith(f"Exp{j:03d}"))
    return found


def check(found, logged, name, *, better_if_higher):
    """Row by row against the logs of an evaluation after each training."""
    last = len(logged) - 1
    for j, row in enumerate(found.rows):
        learned, now = value(logged[j], name, j), value(logged[-1], name, j)
        assert (row.learned, row.now) == (learned, now)
        lost = learned - now if better_if_higher else now - learned
        assert row.forgotten == (None if j == last else lost)


@pytest.mark.parametrize("seen_only", [False, True])
@pytest.mark.parametrize("labelled", [False, True])
def test_it_has_the_numbers_of_the_logs(labelled, seen_only):
    strategy = naive(
        accuracy_metrics(epoch=True, experience=True),
        loss_metrics(experience=True),
        forgetting_metrics(experience=True, stream=True),
    )
    logged = trained(strategy, digits(labelled=labelled), seen_only=seen_only)
    found = summary(strategy)
    assert (found.metric, found.notes) == ("Top1_Acc", ())
    assert found.by == ("task" if labelled else "experience")
    check(found, logged, "Top1_Acc_Exp", better_if_higher=True)
    check(summary(strategy, metric="Loss"), logged, "Loss_Exp", better_if_higher=False)
    forgotten = logged[-1]["StreamForgetting/eval_phase/test_stream"]
    assert found.mean.forgotten == pytest.approx(forgotten) and forgotten > 0.1
    assert found.rows[0].forgotten == value(logged[-1], "ExperienceForgetting", 0)


def test_printed_it_is_a_line_per_task():
    strategy = naive(accuracy_metrics(experience=True))
    trained(strategy, digits())
    title, heads, *rows, mean = str(found := summary(strategy)).splitlines()
    assert title == "Top1_Acc, %, test stream"
    assert heads.split() == ["experience", "just", "learned", "now", "forgotten"]
    assert len(rows) == 3
    row = found.rows[0]
    numbers = [f"{100 * row.learned:.2f}", f"{100 * row.now:.2f}", f"{100 * row.forgotten:+.2f}"]
    assert rows[0].split() == ["0", *numbers]
    assert rows[-1].split()[-1] == "-"
    assert mean.split()[0] == "mean"


def test_errors_are_in_scientific_notation():
    evaluator = quiet_evaluator(mse_metrics(experience=True))
    strategy = HSFStrategy.from_preset(input_dim=3, train_epochs=1, evaluator=evaluator, seed=0)
    logged = trained(strategy, SyntheticManifolds(n_samples=20))
    found = summary(strategy)
    check(found, logged, "MSE_Exp", better_if_higher=False)
    assert str(found).splitlines()[2].split()[1] == f"{found.rows[0].learned:.2e}"


def test_a_matrix_knows_when_tasks_were_learned():
    """With an evaluation every epoch, some before a task is trained, and no task labels."""
    matrix = ErrorMatrix(Accuracy(), higher_is_better=True)
    metrics = accuracy_metrics(experience=True), matrix
    strategy = naive(*metrics, epochs=2, eval_every=1)
    benchmark = digits()
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[benchmark.test_stream])
    R = matrix.result()
    found = summary(strategy)
    assert found.metric == "Accuracy" and found.notes == ()
    assert [row.learned for row in found.rows] == R.diagonal().tolist()
    assert [row.now for row in found.rows] == R[-1].tolist()
    assert found.mean.forgotten == pytest.approx(float(matrix.forgetting()[:-1].mean()))
    by_logs = summary(strategy, metric="Top1_Acc")
    assert by_logs.rows == found.rows


def test_without_a_record_evaluations_in_between_are_not_taken_for_ends():
    strategy = naive(accuracy_metrics(experience=True), epochs=2, order=False, eval_every=1)
    benchmark = digits()
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[benchmark.test_stream])
    found = summary(strategy)
    assert [row.learned for row in found.rows] == [None] * 3
    assert "add TrainingOrder" in str(found)


@pytest.mark.parametrize("kind", ["matrix", "record", "quiet_evaluator"])
@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2, 0)])
def test_in_any_order_and_twice(order, kind):
    accuracies = accuracy_metrics(epoch=True, experience=True)
    strategy, benchmark = naive(accuracies, order=kind == "record"), digits()
    if kind == "matrix":
        strategy = naive(accuracies, ErrorRateMatrix(), order=False)
    if kind == "quiet_evaluator":
        strategy = with_evaluator(strategy, quiet_evaluator(accuracies))
    logged = []
    for j in order:
        strategy.train(benchmark.train_stream[j])
        values = strategy.eval(benchmark.test_stream)
        logged.append([value(values, "Top1_Acc_Exp", j) for j in range(3)])
    last = {j: k for k, j in enumerate(order)}
    found = summary(strategy)
    assert [row.learned for row in found.rows] == [logged[last[j]][j] for j in range(3)]
    assert [row.now for row in found.rows] == logged[-1]
    lost = [row.learned - row.now for row in found.rows]
    assert [row.forgotten for row in found.rows] == [
        None if j == order[-1] else lost[j] for j in range(3)
    ]
    assert found.notes == ()
    if kind == "matrix":
        by_matrix = [row.forgotten or 0.0 for row in summary(strategy, metric="ErrorRate").rows]
        (matrix,) = (m for m in strategy.evaluator.metrics if isinstance(m, ErrorMatrix))
        assert matrix.forgetting().tolist() == by_matrix == pytest.approx(lost)


def parts_of_tasks(tasks, *, labelled):
    """A training experience for each of these, and one of evaluation for task 0 and for task 1."""
    generator = torch.Generator().manual_seed(0)

    def part(task, n):
        y = torch.randint(2, (n,), generator=generator) + 2 * task
        x = torch.randn(n, 64, generator=generator)
        x[torch.arange(n), y] += 4
        labels = TaskLabels([task * labelled] * n)
        attributes = [DataAttribute(y.tolist(), "targets"), labels]
        tensors = torch.utils.data.TensorDataset(x, y)
        return AvalancheDataset([tensors], data_attributes=attributes)

    made = {"train": [part(task, 40) for task in tasks], "test": [part(j, 100) for j in (0, 1)]}
    return with_task_labels(benchmark_from_datasets(**made))


@pytest.mark.parametrize("labels", [(0, 0, 1, 1), (0, 1, 0, 1)])
@pytest.mark.parametrize("matrix", [False, True])
def test_where_a_task_is_trained_in_parts_labels_tell(labels, matrix):
    benchmark = parts_of_tasks(labels, labelled=True)
    metrics = [ErrorRateMatrix()] if matrix else [accuracy_metrics(experience=True)]
    strategy = naive(*metrics, order=not matrix)
    R = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
        R.append([accuracy_on(strategy, e) for e in benchmark.test_stream])
    last = {label: k for k, label in enumerate(labels)}
    sign = -1 if matrix else 1
    found = summary(strategy)
    assert [row.learned for row in found.rows] == pytest.approx(
        [matrix + sign * R[last[j]][j] for j in (0, 1)], abs=1e-6
    )
    assert found.rows[0].forgotten == pytest.approx(R[last[0]][0] - R[-1][0], abs=1e-6)
    assert found.rows[1].forgotten is None and found.notes == ()
    if matrix:
        (kept,) = (m for m in strategy.evaluator.metrics if isinstance(m, ErrorMatrix))
        assert kept.forgetting().tolist() == pytest.approx(
            [R[last[0]][0] - R[-1][0], 0.0], abs=1e-6
        )


def accuracy_on(strategy, experience):
    x, y = zip(*((item[0], int(item[1])) for item in experience.dataset), strict=True)
    with torch.no_grad():
        right = strategy.model.eval()(torch.stack(x)).argmax(dim=1) == torch.tensor(y)
    return float(right.float().mean())


def test_where_nothing_tells_what_belongs_together_it_is_said():
    benchmark = parts_of_tasks((0, 0, 1), labelled=False)
    matrix = ErrorRateMatrix()
    strategy = naive(accuracy_metrics(experience=True), matrix, order=False)
    for experience in benchmark.train_stream:
        strategy.train(experience)
        strategy.eval(benchmark.test_stream)
    found = summary(strategy)
    assert [row.learned for row in found.rows] == [None, None]
    assert "not of one length, and their task labels do not tell" in str(found)
    with pytest.raises(ValueError, match="do not tell"):
        matrix.forgetting()


def trained_jointly(benchmark, evaluator):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    strategy = JointTraining(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        evaluator=evaluator,
    )
    strategy.train(benchmark.train_stream)
    strategy.eval(benchmark.test_stream)
    return strategy


def test_joint_training_that_nothing_recorded():
    metrics = accuracy_metrics(epoch=True, experience=True)
    strategy = trained_jointly(digits(labelled=True), EvaluationPlugin(metrics, loggers=[]))
    found = summary(strategy)
    assert found.mean.now == pytest.approx(sum(row.now for row in found.rows) / 3)
    assert "add TrainingOrder" in str(found)


def with_evaluator(strategy, evaluator):
    strategy.plugins[strategy.plugins.index(strategy.evaluator)] = evaluator
    strategy.evaluator = evaluator
    return strategy


def test_without_a_record_a_note_says_that_order_is_assumed():
    strategy = naive(accuracy_metrics(experience=True), order=False)
    logged = trained(strategy, digits())
    found = summary(strategy)
    check(found, logged, "Top1_Acc_Exp", better_if_higher=True)
    assert "count as trained in order: TrainingOrder() in the evaluator" in str(found)


@pytest.mark.parametrize("epochs", [1, 3])
def test_labels_tell_when_tasks_were_learned(epochs):
    """Every second epoch, tasks so far, and once more before each training."""
    matrix = ErrorRateMatrix()
    metrics = accuracy_metrics(epoch=True, experience=True), matrix
    strategy = naive(*metrics, epochs=epochs, eval_every=2)
    benchmark = digits(labelled=True)
    for k, experience in enumerate(benchmark.train_stream, start=1):
        strategy.train(experience, eval_streams=[benchmark.test_stream[:k]])
    found = summary(strategy)
    assert [1 - row.learned for row in found.rows] == pytest.approx(
        matrix.result().diagonal().tolist()
    )
    assert found.notes == () and found.by == "task"


def test_several_metrics_can_be_asked_for():
    strategy = naive(
        loss_metrics(experience=True),
        measure_metrics(Accuracy(), higher_is_better=True, experience=True),
        measure_metrics(nn.CrossEntropyLoss(), experience=True),
        ErrorRateMatrix(),
    )
    logged = trained(strategy, digits())
    check(summary(strategy, metric="Loss"), logged, "Loss_Exp", better_if_higher=False)
    check(summary(strategy), logged, "Accuracy_Exp", better_if_higher=True)
    rate = summary(strategy, metric="ErrorRate").mean
    assert rate.now == pytest.approx(1 - summary(strategy).mean.now)
    with pytest.raises(ValueError, match=r"unknown metric 'MSE'; choose from Acc.* Error.*Loss"):
        summary(strategy, metric="MSE")


def test_two_matrices_of_a_kind_are_both_there():
    """In the order in which they were given; the second is the second of its name."""
    kinds = [MulticlassAccuracy(num_classes=10, average=a) for a in ("micro", "macro")]
    matrices = [ErrorMatrix(kind, higher_is_better=True) for kind in kinds]
    strategy = naive(*matrices, order=False)
    trained(strategy, digits())
    for metric, matrix in zip(
        ("MulticlassAccuracy", "MulticlassAccuracy 2"), matrices, strict=True
    ):
        rows = summary(strategy, metric=metric).rows
        assert [row.now for row in rows] == matrix.result()[-1].tolist()


def test_not_all_tasks_are_trained_yet():
    strategy = naive(accuracy_metrics(experience=True))
    trained(strategy, digits(5), n=2)
    rows = summary(strategy).rows
    assert [row.learned is None for row in rows] == [False, False, True, True, True]
    assert all(row.now is not None for row in rows)
    assert rows[0].forgotten is not None and rows[2].forgotten is None
    assert summary(strategy).mean.now == pytest.approx((rows[0].now + rows[1].now) / 2)


def test_one_task():
    strategy = naive(accuracy_metrics(experience=True))
    trained(strategy, digits(), n=1, seen_only=True)
    (row,) = summary(strategy).rows
    assert row.learned == row.now and row.forgotten is None
    assert summary(strategy).mean.forgotten is None


def test_nan_is_shown():
    benchmark = SyntheticManifolds(n_samples=20)
    model = nn.Linear(3, 3)
    nn.init.constant_(model.weight, math.nan)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.MSELoss(),
        train_mb_size=20,
        evaluator=EvaluationPlugin(mse_metrics(experience=True), MSEMatrix()),
    )
    trained(strategy, benchmark)
    found = summary(strategy)
    assert all(math.isnan(row.learned) and math.isnan(row.now) for row in found.rows)
    assert str(found).splitlines()[2].split()[1:] == ["nan", "nan", "nan"]


def test_only_the_new_task_is_evaluated():
    strategy = naive(accuracy_metrics(experience=True))
    benchmark = digits()
    for train, test in zip(benchmark.train_stream, benchmark.test_stream, strict=True):
        strategy.train(train)
        strategy.eval(test)
    found = summary(strategy)
    assert None not in [row.learned for row in found.rows]
    assert [row.now is None for row in found.rows] == [True, True, False]
    assert "Evaluate all tasks after each" in str(found)


@pytest.mark.parametrize("metrics", [ErrorRateMatrix, lambda: accuracy_metrics(experience=True)])
def test_evaluated_at_the_end_alone(metrics):
    strategy, benchmark = naive(metrics()), digits()
    strategy.train(benchmark.train_stream)
    logged = strategy.eval(benchmark.test_stream)
    found = summary(strategy)
    assert [row.forgotten for row in found.rows] == [None] * 3
    assert all(row.now is not None for row in found.rows)
    assert found.mean.now == pytest.approx(sum(row.now for row in found.rows) / 3)
    assert "Evaluate all tasks after each" in str(found)
    assert logged


@pytest.mark.parametrize("metrics", [ErrorRateMatrix, lambda: accuracy_metrics(experience=True)])
def test_trained_at_once(metrics):
    strategy = trained_jointly(digits(), quiet_evaluator(metrics()))
    found = summary(strategy)
    assert found.notes == () and all(row.is_trained for row in found.rows)
    assert [row.learned for row in found.rows] == [row.now for row in found.rows]
    assert [row.forgotten for row in found.rows] == [None] * 3


@pytest.mark.parametrize("metrics", [ErrorRateMatrix, lambda: accuracy_metrics(experience=True)])
def test_trained_since(metrics):
    strategy, benchmark = naive(metrics()), digits()
    trained(strategy, benchmark, n=2, seen_only=True)
    strategy.train(benchmark.train_stream[2])
    assert "Trained since" in str(summary(strategy))


@pytest.mark.parametrize("metrics", [ErrorRateMatrix, lambda: accuracy_metrics(experience=True)])
def test_trained_twice(metrics):
    strategy, benchmark = naive(metrics()), digits()
    for _ in range(2):
        trained(strategy, benchmark)
    found = summary(strategy)
    assert found.notes == () and found.rows[2].forgotten is None
    assert found.rows[0].learned != found.rows[0].now and found.rows[0].forgotten > 0


def test_trained_twice_and_nothing_recorded_it():
    strategy, benchmark = naive(accuracy_metrics(experience=True), order=False), digits()
    for _ in range(2):
        trained(strategy, benchmark)
    found = summary(strategy)
    assert [row.learned for row in found.rows] == [None] * 3
    assert "add TrainingOrder" in str(found)


def test_nothing_to_read_says_what_to_add():
    strategy, benchmark = naive(accuracy_metrics(experience=True)), digits()
    strategy.eval(benchmark.test_stream)  # before any training
    for _ in range(2):
        with pytest.raises(ValueError, match=r"call strategy.eval.* after each strategy.train"):
            summary(strategy)
        strategy.train(benchmark.train_stream[0])
    with pytest.raises(ValueError, match=r"EvaluationPlugin\(accuracy_metrics\(experience=True"):
        bare = naive(accuracy_metrics(stream=True))
        trained(bare, benchmark)
        summary(bare)
    with pytest.raises(TypeError, match="an Avalanche strategy, got"):
        summary(nn.Linear(1, 1))


def test_another_stream():
    strategy, benchmark = naive(accuracy_metrics(experience=True)), digits()
    strategy.train(benchmark.train_stream[0])
    strategy.eval(benchmark.train_stream[:1])
    assert summary(strategy, stream="train").rows[0].now is not None
    with pytest.raises(ValueError, match="unknown evaluated stream 'test'; choose from train"):
        summary(strategy)


def test_experiences_of_several_tasks_have_no_label():
    parts = [
        AvalancheDataset(
            [torch.utils.data.TensorDataset(torch.randn(8, 64), torch.arange(8))],
            data_attributes=[
                DataAttribute(torch.arange(8), "targets"),
                DataAttribute(torch.tensor([0, 1] * 4), "targets_task_labels", use_in_getitem=True),
            ],
        )
        for _ in range(2)
    ]
    benchmark = benchmark_from_datasets(train=parts, test=parts)
    strategy = naive(accuracy_metrics(experience=True))
    logged = trained(strategy, benchmark)
    found = summary(strategy)
    assert found.by == "experience"
    check(found, logged, "Top1_Acc_Exp", better_if_higher=True)


@pytest.mark.parametrize(
    "evaluator", [None, lambda: quiet_evaluator(mse_metrics(epoch=True, experience=True))]
)
def test_quiet_is_quiet(evaluator, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        strategy = HSFStrategy.from_preset(input_dim=3, train_epochs=1, evaluator=evaluator)
        trained(strategy, SyntheticManifolds(n_samples=20))
    assert capfd.readouterr() == ("", "")


def test_the_default_prints_a_few_lines_per_experience(capsys):
    strategy = HSFStrategy.from_preset(input_dim=3, train_epochs=2)
    logged = trained(strategy, SyntheticManifolds(n_samples=20))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 * (2 + 7)
    assert lines[0] == "Training on experience 0 ended after 2 epochs."
    name, shown = lines[-1].split(" = ")
    assert shown == f"{logged[-1][name.strip()]:.4g}"
    assert lines[-7] == "Evaluation on the test stream ended."


def test_a_terminal_shows_the_epoch():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    strategy = naive(accuracy_metrics(epoch=True), epochs=2)
    strategy.evaluator.loggers = [CompactLogger(terminal := Terminal())]
    strategy.train(digits().train_stream[0])
    assert terminal.getvalue().startswith(
        "\rExperience 0, epoch 1\rExperience 0, epoch 2\rTraining on experience 0 ended after 2"
    )


@pytest.mark.parametrize("metrics", [(accuracy_metrics,), (None,), ([1],)])
def test_a_quiet_evaluator_takes_metrics_alone(metrics):
    with pytest.raises(TypeError, match="takes metrics, accuracy_metrics"):
        quiet_evaluator(*metrics)


def test_an_accuracy_of_reconstructions_is_said_to_be_none():
    evaluator = quiet_evaluator(accuracy_metrics(experience=True))
    strategy = HSFStrategy.from_preset(input_dim=64, train_epochs=1, evaluator=evaluator)
    benchmark = SplitDigits(5)
    strategy.train(benchmark.train_stream[0])
    strategy.eval(benchmark.test_stream[:1])
    assert "Above 100 %" in str(summary(strategy))
