"""A short run with loggers; `python logged.py FOLDER ITERATION` resumes it, or dies there."""

import os
import signal
import sys
from pathlib import Path

import torch
from avalanche.core import SupervisedPlugin
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_results import MetricValue
from avalanche.evaluation.metrics import (
    accuracy_metrics,
    confusion_matrix_metrics,
    forgetting_metrics,
    timing_metrics,
)
from avalanche.training import Naive
from avalanche.training.determinism.rng_manager import RNGManager
from avalanche.training.plugins import EvaluationPlugin
from torch import nn

from avalanche_hsf.analysis import Drift
from avalanche_hsf.benchmarks import SplitDigits
from avalanche_hsf.checkpoints import CheckpointPlugin, resume
from avalanche_hsf.evaluation import ErrorRateMatrix
from avalanche_hsf.logging import JSONLinesLogger, MLflowLogger, TidyCSVLogger, WandBLogger

BENCHMARK = SplitDigits(seed=0)


class Said(PluginMetric):
    """Text, and a number that is none."""

    def reset(self):
        pass

    def result(self):
        return None

    def after_eval(self, strategy):
        x = strategy.clock.train_iterations
        return [
            MetricValue(self, "Said/eval_phase", "one, two\nthree", x),
            MetricValue(self, "Odd/eval_phase", {"nan": float("nan"), "inf": float("inf")}, x),
        ]


class Killing(SupervisedPlugin):
    at = -1  # of the class, as a checkpoint keeps what a plugin has

    def before_training_iteration(self, strategy, **kwargs):
        if strategy.clock.train_iterations == Killing.at:
            os.kill(os.getpid(), signal.SIGKILL)


def make(loggers, *plugins, resumable=False):
    RNGManager.set_random_seeds(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    metrics = [
        accuracy_metrics(minibatch=True, epoch=True, experience=True, stream=True),
        forgetting_metrics(experience=True, stream=True),
        confusion_matrix_metrics(num_classes=10, stream=True, save_image=not resumable),
        *(ErrorRateMatrix(), Drift(), Said(), [] if resumable else timing_metrics(epoch=True)),
    ]
    return Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        eval_mb_size=256,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(*metrics, loggers=loggers),
    )


def go_through(strategy, start=0):
    for experience in BENCHMARK.train_stream[:2][start:]:
        strategy.train(experience)
        strategy.eval(BENCHMARK.test_stream[:2])
    return strategy.evaluator.get_all_metrics()


def loggers_in(folder):
    folder = Path(folder)
    return [
        TidyCSVLogger(folder / "metrics.csv"),
        JSONLinesLogger(folder / "metrics.jsonl"),
        MLflowLogger(f"sqlite:///{folder}/mlflow.db"),
        WandBLogger(dir=folder, params={"mode": "offline", "settings": {"silent": True}}),
    ]


def main(folder, at):
    os.chdir(folder)
    torch.set_num_threads(1)
    Killing.at = int(at)
    checkpoints = CheckpointPlugin(Path("checkpoints"), every=1)
    strategy = make(loggers_in(folder), checkpoints, Killing(), resumable=True)
    go_through(strategy, resume(strategy, "checkpoints"))


if __name__ == "__main__":
    main(*sys.argv[1:])
