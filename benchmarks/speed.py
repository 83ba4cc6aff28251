"""Time of a training step in the configuration "paper", against the author's way.

    python benchmarks/speed.py [--steps 60] [--threads 1]

Both learners train side by side in one process, step about, so that whatever slows the machine
slows both; the figure to quote is the ratio. Ours is measured inside Avalanche's training loop,
loading and hooks included; the author's way in a bare loop.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")

import torch  # noqa: E402
from author_way import AuthorWay  # noqa: E402
from avalanche.core import SupervisedPlugin  # noqa: E402

from avalanche_hsf.benchmarks import SyntheticManifolds  # noqa: E402
from avalanche_hsf.training import HSFStrategy, LatentReplayPlugin  # noqa: E402


class StepAbout(SupervisedPlugin):
    """Times each epoch of a strategy (one full batch) and lets the rival do one step after it."""

    def __init__(self) -> None:
        super().__init__()
        self.ours: list[float] = []
        self.rivals: list[float] = []
        self.difference = 0.0
        self.rival: AuthorWay | None = None

    def before_training_exp(self, strategy, **kwargs) -> None:
        replay = next(p for p in strategy.plugins if isinstance(p, LatentReplayPlugin))
        self.rival = AuthorWay(strategy.model, replay._memory)
        self.x = torch.stack([item[0] for item in strategy.experience.dataset])
        self._start = time.perf_counter()

    def after_training_epoch(self, strategy, **kwargs) -> None:
        start = time.perf_counter()
        self.ours.append(start - self._start)
        task = strategy.experience.task_label
        loss = self.rival.step(self.x, task, strategy.clock.train_exp_epochs)
        self.rivals.append(time.perf_counter() - start)
        if task == 0:  # later replay draws other samples, the losses part
            gap = abs(loss - float(strategy.loss.detach())) / abs(loss)
            self.difference = max(self.difference, gap)
        self._start = time.perf_counter()


def main(steps: int = 60, threads: int = 1) -> dict[str, float]:
    """Runs the comparison on the first two tasks and prints it.

    Args:
        steps: Training steps a task, a multiple of 5 (replay comes in every fifth).
        threads: Threads of torch.

    Returns:
        The ratio of times by task and the largest relative difference of the losses in task 0.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    stream = SyntheticManifolds().train_stream
    timing = StepAbout()
    strategy = HSFStrategy.from_preset(
        "paper",
        input_dim=3,
        train_epochs=steps,
        plugins=[timing],
        evaluator=None,
    )
    ratios = []
    for task in range(2):
        timing.ours, timing.rivals = [], []
        strategy.train(stream[task], shuffle=False)
        # Blocks of five, the period of replay; the first block warms up.
        ours = [sum(timing.ours[i : i + 5]) / 5 for i in range(5, steps, 5)]
        rivals = [sum(timing.rivals[i : i + 5]) / 5 for i in range(5, steps, 5)]
        pairs = sorted(rival / our for rival, our in zip(rivals, ours, strict=True))
        ratios.append(statistics.median(pairs))
        print(
            f"task {task}: the author's way {statistics.median(rivals) * 1e3:.0f} ms a step, "
            f"ours {statistics.median(ours) * 1e3:.0f} ms, {ratios[-1]:.1f} times faster "
            f"(blocks of five steps: {pairs[0]:.1f} to {pairs[-1]:.1f})"
        )
    print(f"largest relative difference of the losses in task 0: {timing.difference:.1e}")
    whole = (ratios[0] + 4 * ratios[1]) / 5
    print(f"whole run of five tasks: about {whole:.1f} times faster, {threads} thread(s)")
    return {"task 0": ratios[0], "task 1": ratios[1], "difference": timing.difference}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    main(options.steps, options.threads)
