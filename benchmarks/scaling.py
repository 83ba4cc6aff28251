"""How a step's time and memory grow: with tasks, with what a batch mixes, and with sizes.

    python benchmarks/scaling.py [--tasks 5,50,500] [--blocks 5] [--out measured/speed]

For every preset, under Avalanche, full batches of 300 samples. Strategies of one preset train in
turn in one process; the figure to quote is the ratio. Everything a step does is in it: loading,
hooks and protections. A task learned before is trained for one epoch.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import torch
from avalanche.core import SupervisedPlugin
from timing import Ratio, in_turn, over_blocks, peak_memory, ratio, report
from torch.nn.functional import mse_loss

from avalanche_hsf.benchmarks import RandomManifolds, reconstruction_benchmark
from avalanche_hsf.experiments.runs.kept import floats_kept
from avalanche_hsf.training import HSFStrategy, get_preset, make_protections

PRESETS = ("paper", "repaired", "isolated", "compact")
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


class Learner:
    """A strategy that has learned some tasks, about to be timed in one more."""

    def __init__(self, preset: str, stream: Any, n_before: int, **model_options: Any) -> None:
        torch.manual_seed(0)
        self.timing = Timing()
        self.strategy = HSFStrategy.from_preset(
            preset,
            input_dim=stream[0].dataset[0][0].numel(),
            seed=0,
            train_mb_size=len(stream[0].dataset),
            train_epochs=1,
            plugins=[self.timing],
            evaluator=None,
            model_options=model_options,
            protections=_protections(preset),
        )
        for experience in stream[:n_before]:
            self.strategy.train(experience)
        self.next = stream[n_before]
        self.strategy.train_epochs = EPOCHS

    def step(self) -> float:
        """Seconds of a step, the median of some."""
        self.timing.seconds.clear()
        self.strategy.train(self.next)
        return statistics.median(self.timing.seconds)


def _protections(preset: str) -> list[Any]:
    arguments = get_preset(preset).all_protections
    if "WarmStartPlugin" in arguments:
        arguments["WarmStartPlugin"] = {"n_tasks": 4}
    return make_protections(arguments)


def by_tasks(preset: str, counts: Sequence[int], blocks: int) -> list[Ratio]:
    """A step in the last of so many tasks against one in the last of the first count."""
    stream = RandomManifolds(max(counts), seed=0).train_stream
    learners = {str(n): Learner(preset, stream, n - 1) for n in counts}
    seconds = _steps(learners, blocks)
    first = counts[0]
    rows = [
        ratio(
            seconds,
            *(str(n), str(first)),
            name=f"{preset}: step in task {n} / in task {first}",
            goal="<= 1.5" if n >= 500 else "",
        )
        for n in counts[1:]
    ]
    memory, kept = {}, {}
    for n, learner in zip(counts, learners.values(), strict=True):
        learner.strategy.train_epochs = 1
        learner.strategy.optimizer.zero_grad()
        memory[n] = peak_memory(lambda learner=learner: learner.strategy.train(learner.next))
        kept[n] = floats_kept(learner.strategy)
    for n in counts[1:]:
        rows += [
            _single(f"{preset}: peak memory, task {n} / task {first}", memory[n] / memory[first]),
            _single(f"{preset}: floats kept, task {n} / task {first}", kept[n] / kept[first]),
        ]
    took = statistics.median(seconds[str(first)]) * 1e3
    print(f"{preset}, task {first}: {took:.0f} ms, {memory[first] / 1e6:.0f} MB, {kept[first]:,}")
    return rows


def by_distinct_tasks(preset: str, blocks: int) -> list[Ratio]:
    """Forward and backward of a batch that mixes tasks against one of a single task."""
    stream = RandomManifolds(50, seed=0).train_stream
    model = Learner(preset, stream, 49).strategy
    model.train(stream[49])
    network = model.model.train()
    network.requires_grad_(True)
    x = torch.stack([item[0] for item in stream[0].dataset])

    def step(n: int) -> Callable[[], None]:
        labels = torch.arange(len(x)) % n

        def block() -> None:
            for _ in range(3):
                network.zero_grad()
                out = network.forward_with_latents(x, labels).reconstruction
                loss = mse_loss(out, x)
                if loss.requires_grad:
                    loss.backward()

        return block

    seconds = in_turn({str(n): step(n) for n in (1, 5, 50)}, blocks=blocks)
    return [
        ratio(
            seconds,
            *(str(n), "1"),
            name=f"{preset}: batch of {n} tasks / of one",
            goal="<= 5" if n == 50 else "",
        )
        for n in (5, 50)
    ]


def by_size(preset: str, blocks: int) -> list[Ratio]:
    """A step in the second task, of several batches, latents and inputs, against the paper's."""

    def learner(n: int = 300, input_dim: int = 3, **model_options: Any) -> Learner:
        generator = torch.Generator().manual_seed(0)
        tasks = [torch.rand(n, input_dim, generator=generator) for _ in range(2)]
        return Learner(preset, reconstruction_benchmark(tasks).train_stream, 1, **model_options)

    learners = {
        "paper's sizes": learner(),
        "30 samples": learner(30),
        "3000 samples": learner(3000),
        "latent 2": learner(latent_dim=2),
        "latent 96": learner(latent_dim=96),
        "64 inputs": learner(input_dim=64),
    }
    if preset in ("paper", "repaired"):
        # Its hypernetwork is wide in proportion to what it writes, so that its own size grows
        # with the square: for the first layer on 3,072 inputs 9.7e9 weights, 39 GB.
        print(f"{preset}: 3 x 32 x 32 inputs do not fit into memory")
    else:
        learners["3 x 32 x 32 inputs"] = learner(input_dim=3072)
    seconds = _steps(learners, blocks)
    return [
        ratio(seconds, name, "paper's sizes", name=f"{preset}: {name} / the paper's sizes")
        for name in learners
        if name != "paper's sizes"
    ]


def _steps(learners: Mapping[str, Learner], blocks: int) -> dict[str, list[float]]:
    """Seconds of a step of each learner in each block, all in turn; a first block warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    for block in range(blocks + 1):
        for name, learner in learners.items():
            took = learner.step()
            if block:
                seconds[name].append(took)
    return seconds


def _single(name: str, value: float) -> Ratio:
    rival, _, ours = name.partition(" / ")
    return over_blocks(name, [value], ours=ours, rival=rival, unit="memory")


def main(
    tasks: Sequence[int] = (5, 50, 500),
    presets: Sequence[str] = PRESETS,
    blocks: int = 5,
    threads: int = 1,
    out: str | None = None,
) -> list[Ratio]:
    """Prints the table and returns its rows."""
    torch.set_num_threads(threads)
    rows = []
    for preset in presets:
        rows += by_tasks(preset, tasks, blocks)
        rows += by_distinct_tasks(preset, blocks)
        rows += by_size(preset, blocks)
        report(rows, out, "scaling")  # of all so far: it takes long
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--tasks", type=lambda text: [int(n) for n in text.split(",")], default=[5, 50, 500]
    )
    parser.add_argument("--presets", type=lambda text: text.split(","), default=PRESETS)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    options = parser.parse_args()
    main(options.tasks, options.presets, options.blocks, options.threads, options.out)
