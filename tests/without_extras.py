"""What works where no extra is installed, and what the rest says; run by test_packaging.py.

Takes two lists of packages: those that are hidden from the beginning, and those that are hidden
once torch and Avalanche, which need them, are imported. Prints two lines of JSON: the sentences
with and without the packages of `experiments` hidden.
"""

import contextlib
import io
import json
import sys


class Finder:
    """A finder that does not find some packages."""

    def __init__(self, finder, hidden):
        self.finder, self.hidden = finder, hidden

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *arguments):
        is_hidden = name.partition(".")[0] in self.hidden
        return None if is_hidden else self.finder.find_spec(name, *arguments)


def train():
    """A small network under Naive, with all that may be wanted beside it."""
    import torch
    from avalanche.training import Naive
    from torch import nn

    from avalanche_hsf import evaluation, forensics, inference, models, training
    from avalanche_hsf.benchmarks import SplitDigits
    from avalanche_hsf.checkpoints import CheckpointPlugin

    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
    model = models.TaskConditional(network, masking=True, seed=0)
    benchmark = SplitDigits(2, seed=0)
    watching = forensics.ForensicsPlugin(report=None, n_points=2)
    recognizer = inference.TaskRecognizer(model, inference.EntropyScore())
    matrix = evaluation.ErrorRateMatrix()
    strategy = Naive(
        model=model,
        optimizer=training.make_optimizer(model.parameters(), {"name": "AdamW", "lr": 0.01}),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=64,
        train_epochs=3,
        plugins=[
            *training.make_protections(training.get_preset("isolated").protections),
            training.TaskInferencePlugin(recognizer),
            CheckpointPlugin("checkpoints"),
            watching,
            matrix,
        ],
        evaluator=None,
    )
    strategy.train(benchmark.train_stream)
    x, _, label = benchmark.test_stream[0].dataset[0]
    network = models.export_task(model, label)
    assert torch.equal(network(x[None]), model.eval()(x[None], label))
    assert [task.task for task in watching.findings().tasks] == ["task 0"]


def said(do):
    """What an action ends with."""
    try:
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            do()
    except ImportError as error:
        return str(error)
    except SystemExit as ended:
        return [ended.code, errors.getvalue()]
    return "nothing"


def without_experiments():
    from avalanche_hsf import forensics, logging, models, report, training
    from avalanche_hsf.cli import main

    return {
        "model": lambda: models.HypernetSDEFlow(4),
        "sde": lambda: models.NeuralSDE,
        "flow": lambda: models.ManifoldNormalizingFlow,
        "preset": lambda: training.HSFStrategy.from_preset("compact", input_dim=4),
        "optimizer": lambda: training.make_optimizer([], {"name": "SOAP"}),
        "page": lambda: forensics.ForensicsPlugin("page.html"),
        "blame": lambda: main(["blame", "a.pt", "b.pt", "--model", "no:net", "--data", "no:data"]),
        "table": lambda: report.Table,
        "mlflow": lambda: logging.MLflowLogger(),
        "experiments": lambda: __import__("avalanche_hsf.experiments"),
        "list": lambda: main(["list"]),
        "compare": lambda: main(["compare", "--benchmark", "no"]),
        "config": lambda: main(["compare", "--config", "no"]),
        "version": lambda: main(["--version"]),
    }


def with_experiments():
    from avalanche_hsf.cli import main
    from avalanche_hsf.experiments import Runs
    from avalanche_hsf.experiments.runs.engines import make_engine

    return {
        "jobs": lambda: main(["compare", "--benchmark", "digits", "--jobs", "2"]),
        "scheduler": lambda: main(["reproduce", "--scheduler", "tcp://127.0.0.1:1"]),
        "engine": lambda: make_engine(2).__enter__(),
        "frame": lambda: Runs([]).to_frame(),
    }


def main():
    hidden, needed_by_others = (set(words.split()) for words in sys.argv[1:])
    sys.meta_path[:] = [Finder(finder, hidden) for finder in sys.meta_path]
    import avalanche.training  # noqa: F401  # before what it needs is hidden

    hidden |= needed_by_others
    for name in [name for name in sys.modules if name.partition(".")[0] in needed_by_others]:
        del sys.modules[name]
    train()
    print(json.dumps({name: said(do) for name, do in without_experiments().items()}))
    hidden &= {"distributed", "pandas"}
    print(json.dumps({name: said(do) for name, do in with_experiments().items()}))


if __name__ == "__main__":
    main()
