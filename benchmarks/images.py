"""An epoch of images in Avalanche against the same steps in a bare loop, and the routing of images.

    python benchmarks/images.py [--blocks 7] [--out measured/speed]

Images are noise of MNIST's size, 12,000 of them as in a task of Split MNIST, as tensors and as
Avalanche's `SplitMNIST` reads them from files, which are written to a temporary folder. Both sides
train the Hypernet-SDE-Flow of `ids-hsf`, an epoch of each in turn, in one process, on one thread;
the bare loop has its images as tensors, normalised. Routing is the inference of the tasks of 10,000
images over five tasks; its rival is one forward pass of each task's model over the same images.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
warnings.filterwarnings("ignore", message="No loggers specified|Call to deprecated")

import torch
from avalanche.benchmarks import CLScenario, tensors_benchmark
from avalanche.benchmarks.classic import SplitMNIST
from avalanche.benchmarks.utils.data_loader import TaskBalancedDataLoader
from avalanche.core import SupervisedPlugin
from timing import Ratio, in_turn, over_blocks, ratio, report
from torch import Tensor
from torch.nn.functional import mse_loss

from avalanche_hsf.experiments.learners.methods.inferred import RECOGNIZER, RECOGNIZER_OPTIMIZER
from avalanche_hsf.inference import TaskRecognizer
from avalanche_hsf.training import (
    DetachedLikelihoodPlugin,
    HSFStrategy,
    make_optimizer,
    negative_log_likelihood,
)
from avalanche_hsf.training.loading.in_memory import collected, in_memory

N, MB_SIZE, N_TASKS, N_ROUTED = 12_000, 128, 5, 10_000


class _Epochs(SupervisedPlugin):
    """Runs a bare epoch after each of Avalanche's, and keeps the seconds of both."""

    def __init__(self, bare: Callable[[], None]) -> None:
        super().__init__()
        self.bare = bare
        self.pairs: list[tuple[float, float]] = []

    def before_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        self.start = time.perf_counter()

    def after_training_epoch(self, strategy: Any, **kwargs: Any) -> None:
        ours = time.perf_counter() - self.start
        start = time.perf_counter()
        self.bare()
        self.pairs.append((ours, time.perf_counter() - start))


def strategy_of(epochs: int) -> HSFStrategy:
    return HSFStrategy.from_preset(
        input_dim=784,
        seed=0,
        model_options=dict(RECOGNIZER),
        optimizer_options=dict(RECOGNIZER_OPTIMIZER),
        train_mb_size=MB_SIZE,
        train_epochs=epochs,
        evaluator=None,
    )


def bare_epoch(x: Tensor) -> Callable[[], None]:
    """The steps of an epoch of `HSFStrategy` with the preset isolated, its likelihood included."""
    model = strategy_of(1).model
    model.hypernetwork.begin([0])
    model.train()
    optimizer = make_optimizer(model.parameters(), RECOGNIZER_OPTIMIZER)
    likelihood = DetachedLikelihoodPlugin()

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(MB_SIZE):
            batch = x[rows]
            optimizer.zero_grad()
            out = model.forward_with_latents(batch, 0)
            loss = mse_loss(out.reconstruction, batch)
            with torch.no_grad():
                z0, groups = out.z0.detach(), out.written.groups
                model.whitening.set_task(0, z0)
                whitened, _ = model.whitening(z0, groups)
                blurred = whitened + likelihood.noise * torch.randn_like(z0)
                z0 = model.whitening.inverse(blurred, groups)
            loss = loss + likelihood.weight * negative_log_likelihood(
                *model.flow_of(z0, out.written)
            )
            loss.backward()
            optimizer.step()

    return epoch


def of_tensors() -> CLScenario:
    x = torch.rand(N, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(N, dtype=torch.long)
    return tensors_benchmark(train_tensors=[(x, y)], test_tensors=[(x, y)], task_labels=[0])


def of_files() -> CLScenario:
    """Avalanche's `SplitMNIST`, one experience, from files of noise."""
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for part, n in (("train", N), ("t10k", 10)):
            generator = torch.Generator().manual_seed(n)
            images = torch.randint(256, (n, 28, 28), generator=generator, dtype=torch.uint8)
            classes = (torch.arange(n) % 10).to(torch.uint8)
            for kind, values in (("images-idx3", images), ("labels-idx1", classes)):
                head = struct.pack(f">{1 + values.dim()}I", 2048 + values.dim(), *values.shape)
                (raw / f"{part}-{kind}-ubyte").write_bytes(head + values.numpy().tobytes())
        return SplitMNIST(1, return_task_id=True, dataset_root=root)


def epochs(name: str, stream: CLScenario, blocks: int) -> Ratio:
    strategy = strategy_of(blocks + 1)
    dataset = stream.train_stream[0].dataset
    x = collected(dataset, range(len(dataset)))[0]
    timing = _Epochs(bare_epoch(x.flatten(1)))
    strategy.plugins.append(timing)
    strategy.train(stream.train_stream[0], eval_streams=[])
    values = [ours / bare for ours, bare in timing.pairs[1:]]  # the first warms up
    return over_blocks(
        f"an epoch of 12,000 {name}, in Avalanche / in a bare loop",
        values,
        ours="in a bare loop",
        rival="in Avalanche",
        goal="<= 1.05",
    )


def minibatches(stream: CLScenario, blocks: int) -> Ratio:
    """Of an epoch, without a step."""
    loader = TaskBalancedDataLoader(stream.train_stream[0].dataset, batch_size=MB_SIZE)

    def of(loader: Any) -> Callable[[], None]:
        return lambda: [None for _ in loader].clear()

    seconds = in_turn(
        {"from memory": of(in_memory(loader)), "by Avalanche": of(loader)}, blocks=blocks
    )
    name = "its minibatches alone, by Avalanche's loader / from memory"
    return ratio(seconds, "by Avalanche", "from memory", name=name)


@torch.no_grad()
def routing(blocks: int) -> list[Ratio]:
    x = torch.rand(N_ROUTED, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = strategy_of(1).model
    recognizer = TaskRecognizer(model)
    for task in range(N_TASKS):
        model.hypernetwork.begin([task])
        model.train()(x[:2], task)  # in use
        model.hypernetwork.commit()
        model.density.fit_task(task, model.encode(x[:1000], task).detach())
        recognizer.calibrate(task, x[:1000])
    model.eval()
    ratios, seconds = [], []
    for block in range(blocks + 1):
        start = time.perf_counter()
        recognizer.infer_tasks(x)
        routed = time.perf_counter() - start
        start = time.perf_counter()
        for task in range(N_TASKS):
            model(x, task)
        if block:
            ratios.append(routed / (time.perf_counter() - start))
            seconds.append(routed)
    return [
        over_blocks("routing / a pass of each task's model", ratios, rival="routing"),
        over_blocks(
            "seconds to route 10,000 images over five tasks", seconds, unit="s", goal="<= 3 s"
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    blocks, files = given.blocks, of_files()
    rows = [
        epochs("images", of_tensors(), blocks),
        epochs("images of Avalanche's SplitMNIST", files, blocks),
        minibatches(files, blocks),
        *routing(blocks),
    ]
    report(rows, given.out, "images")


if __name__ == "__main__":
    main()
