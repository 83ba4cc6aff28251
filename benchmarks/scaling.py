"""Time of a training step against the number of tasks learned before, for every preset.

    python benchmarks/scaling.py [--tasks 20] [--blocks 6] [--threads 1]

Two strategies of a preset, one in its first task and one in its last of many random curves, train
in turn in one process, ten full-batch epochs about; the figure to quote is the ratio, block by
block. Everything a step does is in it: loading, hooks and protections.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import torch  # noqa: E402
from avalanche.core import SupervisedPlugin  # noqa: E402

from avalanche_hsf.benchmarks import RandomManifolds  # noqa: E402
from avalanche_hsf.training import HSFStrategy  # noqa: E402

EPOCHS = 10


class Timing(SupervisedPlugin):
    """Seconds of each epoch, here one step."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def before_training_epoch(self, strategy, **kwargs) -> None:
        self._start = time.perf_counter()

    def after_training_epoch(self, strategy, **kwargs) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def main(tasks: int = 20, blocks: int = 6, threads: int = 1) -> dict[str, float]:
    """Prints a line for each preset; returns the median ratio, last task to first, by preset."""
    torch.set_num_threads(threads)
    stream = RandomManifolds(tasks, seed=0).train_stream
    ratios = {}
    for preset in ("paper", "repaired", "isolated", "compact"):
        timings = Timing(), Timing()
        first, last = (
            HSFStrategy.from_preset(
                preset, input_dim=3, seed=0, train_epochs=1, plugins=[timing], evaluator=None
            )
            for timing in timings
        )
        for experience in stream[: tasks - 1]:
            last.train(experience)
        times: list[list[float]] = [[], []]
        for strategy in (first, last):
            strategy.train_epochs = EPOCHS
        for _ in range(blocks + 1):  # the first warms up
            for k, (strategy, task) in enumerate(((first, 0), (last, tasks - 1))):
                timings[k].seconds.clear()
                strategy.train(stream[task])
                times[k].append(statistics.median(timings[k].seconds))
        pairs = sorted(b / a for a, b in zip(times[0][1:], times[1][1:], strict=True))
        ratios[preset] = statistics.median(pairs)
        print(
            f"{preset:9s} task {tasks}: {ratios[preset]:.2f} times task 1 "
            f"(blocks {pairs[0]:.2f} to {pairs[-1]:.2f}), "
            f"{statistics.median(times[1]) * 1e3:.0f} ms a step"
        )
    return ratios


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    main(options.tasks, options.blocks, options.threads)
