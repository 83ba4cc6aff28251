"""Avalanche's metrics, whatever they hold and give, go on as if the run had not been stopped."""

import io
import warnings
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation import PluginMetric, metrics
from avalanche.evaluation.metric_results import AlternativeValues, MetricValue, TensorImage
from avalanche.logging import CSVLogger
from avalanche.training import Naive
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin
from matplotlib.figure import Figure
from PIL import Image
from pipelines import CLASSES, EPOCHS, Stop, Stopped, classes, network, sgd
from torch import nn
from torchmetrics.classification import MulticlassF1Score

from avalanche_hsf.checkpoints import CheckpointError, CheckpointPlugin, resume
from avalanche_hsf.checkpoints.capture import Capture
from avalanche_hsf.checkpoints.folder import checkpoints_in
from avalanche_hsf.checkpoints.restore import Restore
from avalanche_hsf.evaluation import ErrorMatrix

ALL = {"epoch": True, "experience": True, "stream": True}
HERE = str(Path(__file__).parent)
KINDS = {
    "means": lambda: [
        metrics.accuracy_metrics(minibatch=True, epoch_running=True, **ALL),
        metrics.loss_metrics(minibatch=True, epoch_running=True, **ALL),
        metrics.topk_acc_metrics(top_k=2, **ALL),
        metrics.MAC_metrics(epoch=True),
    ],
    "over experiences": lambda: [
        metrics.forgetting_metrics(experience=True, stream=True),
        metrics.bwt_metrics(experience=True, stream=True),
        metrics.forward_transfer_metrics(experience=True, stream=True),
        metrics.accuracy_matrix_metrics(),
    ],
    "by class": lambda: [
        metrics.class_accuracy_metrics(**ALL),
        metrics.class_accuracy_metrics(classes=range(CLASSES), **ALL),
        metrics.amca_metrics(),
    ],
    "figures": lambda: [
        metrics.confusion_matrix_metrics(num_classes=CLASSES, stream=True, normalize="true"),
        metrics.labels_repartition_metrics(on_train=False, on_eval=True),
        metrics.mean_scores_metrics(on_eval=False),
    ],
    "numbers of the same": lambda: [
        metrics.confusion_matrix_metrics(save_image=False, stream=True),
        metrics.labels_repartition_metrics(on_eval=True, image_creator=None),
        metrics.mean_scores_metrics(image_creator=None),
    ],
    "images": lambda: [metrics.images_samples_metrics(n_rows=2, n_cols=2, on_eval=True), Picture()],
    "of torchmetrics": lambda: [ErrorMatrix(MulticlassF1Score(num_classes=CLASSES))],
    "the model": lambda: [metrics.WeightCheckpoint()],
}
OF_THE_MACHINE = {
    "CPU": lambda: metrics.cpu_usage_metrics(minibatch=True, epoch_running=True, **ALL),
    "disk": lambda: metrics.disk_usage_metrics(paths_to_monitor=[HERE], minibatch=True, **ALL),
    "memory": lambda: metrics.ram_usage_metrics(every=0.0005, minibatch=True, **ALL),
    "time": lambda: metrics.timing_metrics(minibatch=True, epoch_running=True, **ALL),
}


class Picture(PluginMetric):
    """Gives a PIL image."""

    def result(self):
        return None

    def reset(self):
        pass

    def after_training_epoch(self, strategy):
        pixels = np.full((3, 4, 3), strategy.clock.train_iterations, dtype=np.uint8)
        return [MetricValue(self, "picture", Image.fromarray(pixels), 0)]


def made(kind, further=()):
    RNGManager.set_random_seeds(3)
    net = network()
    return Naive(
        model=net,
        optimizer=sgd(net.parameters()),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        train_epochs=EPOCHS,
        eval_mb_size=64,
        eval_every=0 if kind == "over experiences" else -1,  # for forward transfer
        evaluator=EvaluationPlugin(*{**KINDS, **OF_THE_MACHINE}[kind](), loggers=[]),
        plugins=list(further),
    )


def result(strategy, stream, start=0):
    for experience in stream.train_stream[start:]:
        watched = [stream.test_stream] if strategy.eval_every >= 0 else []
        strategy.train(experience, eval_streams=watched)
        strategy.eval(stream.test_stream)
    plt.close("all")
    measured = strategy.evaluator.get_all_metrics()
    return {name: (x, [shown(value) for value in values]) for name, (x, values) in measured.items()}


def shown(value):
    """What two values have in common that say the same."""
    if isinstance(value, AlternativeValues):
        return [shown(alternative) for alternative in value.alternatives]
    if isinstance(value, TensorImage):
        return value.image.tolist()
    if isinstance(value, Figure):
        buffer = io.BytesIO()
        value.savefig(buffer, format="raw")
        return buffer.getvalue()
    if isinstance(value, bytes):
        state = torch.load(io.BytesIO(value), weights_only=False).state_dict()
        return {name: tensor.tolist() for name, tensor in state.items()}
    if isinstance(value, Image.Image):
        return value.mode, value.size, value.tobytes()
    return repr(value)


def resumed(kind, folder, at):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "no checkpoint now")
        with pytest.raises(Stopped):
            result(made(kind, [CheckpointPlugin(folder), Stop(at)]), classes())
        strategy = made(kind, [CheckpointPlugin(folder), Stop()])
        return result(strategy, classes(), resume(strategy, folder))


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k == "figures" else k for k in KINDS]
)
def test_metrics_go_on(kind, tmp_path):
    whole = result(made(kind), classes())
    assert whole
    # Within the second experience; figures take a tenth of a second each.
    for at in (14,) if kind == "figures" else (5, 14):
        assert resumed(kind, tmp_path / str(at), at) == whole


@pytest.mark.parametrize("kind", OF_THE_MACHINE)
def test_what_is_measured_of_the_machine_goes_on_in_the_new_process(kind, tmp_path):
    whole = result(made(kind), classes())
    again = resumed(kind, tmp_path, 14)
    assert whole.keys() == again.keys()
    for name, (x, values) in again.items():
        numbers = [float(value) for value in values]
        assert x == whole[name][0]
        assert all(0 <= number < 1e9 for number in numbers)
        if name == "MaxRAMUsage_Epoch/train_phase/train_stream/Task001":  # its thread runs again
            assert any(numbers[1:])


def kept(value):
    """What comes back of a value."""
    capture = Capture()
    return Restore(capture.tensors).put(capture.node(value))


def test_a_figure_comes_back_dot_by_dot_and_so_does_what_came_back():
    figure, axes = plt.subplots(figsize=(2.5, 1.5), dpi=70)
    axes.imshow(np.random.default_rng(0).random((5, 5)))
    once = kept(figure)
    twice = kept(once)
    assert shown(figure) == shown(once) == shown(twice)
    assert tuple(twice.get_size_inches()) == (2.5, 1.5) and twice.dpi == 70
    plt.close(figure)


def test_a_figure_that_was_drawn_on_since_is_kept_as_it_is_now():
    figure, axes = plt.subplots(figsize=(2, 2), dpi=50)
    line = axes.plot([0, 1])[0]
    for change in (
        lambda: line.set_ydata([1, 0]),
        lambda: figure.suptitle("later"),
        lambda: figure.set_size_inches(3, 2),
        lambda: axes.remove(),
    ):
        before = shown(kept(figure))
        change()
        assert shown(kept(figure)) == shown(figure) != before
    plt.close(figure)


def test_what_a_metric_gives_that_cannot_be_kept_does_not_stop_the_training(tmp_path):
    """Once it trains, nothing that comes up stops it."""

    class Odd(PluginMetric):
        def result(self):
            return None

        def reset(self):
            pass

        def after_eval(self, strategy):
            return [MetricValue(self, "odd", bytearray(b"a"), 0)]

    strategy = made("numbers of the same", [CheckpointPlugin(tmp_path)])
    strategy.evaluator.metrics.append(Odd())
    stream = classes()
    strategy.train(stream.train_stream[0])
    strategy.eval(stream.test_stream)
    with pytest.warns(UserWarning, match="no checkpoint now: .*odd.* is a bytearray"):
        strategy.train(stream.train_stream[1])
    assert strategy.clock.train_exp_counter == 2


def test_long_bytes_come_back():
    assert kept([bytes(range(256)) * 9, b"short"]) == [bytes(range(256)) * 9, b"short"]


def test_a_class_of_another_kind_is_no_factory():
    """Metrics of Avalanche may be made for a dictionary; loggers, which open files, may not."""

    def names(factory):
        return ["dict", 0, "collections:defaultdict", [], ["named", factory], {}]

    mean = Restore([]).put(names("avalanche.evaluation.metrics.mean:Mean"))
    assert isinstance(mean, defaultdict) and mean[0].result() == 0.0
    for factory in (f"{CSVLogger.__module__}:CSVLogger", "os:system"):
        with pytest.raises(CheckpointError, match="in the checkpoint, here something else"):
            Restore([]).put(names(factory))


class Holding(SupervisedPlugin):
    def __init__(self, value=None):
        super().__init__()
        self.value = value


def test_what_two_states_share_is_written_once(tmp_path):
    big = Holding(torch.randn(50_000))
    stream = classes()
    for name, plugins in (("with", [big]), ("without", [Holding()])):
        strategy = made("means", [CheckpointPlugin(tmp_path / name), *plugins])
        strategy.train(stream.train_stream[0])
    sizes = [checkpoints_in(tmp_path / name)[-1].stat().st_size for name in ("with", "without")]
    assert 200_000 < sizes[0] - sizes[1] < 210_000
