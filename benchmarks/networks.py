"""Cost of a main network whose weights a hypernetwork writes, against the plain network.

    python benchmarks/networks.py [--steps 30] [--threads 1]

The CNN of the stream images-10 (98,114 parameters) as it is and inside a `TaskConditional` of each
kind. All take one training step in turn, in one process, on the same batch of 50 images, in the
first task and in the tenth; the figure to quote is the ratio of times, step by step. Memory is what
autograd keeps for the backward pass, parameters and batch excluded. A last line gives an evaluation
of a batch that mixes all ten tasks.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

warnings.filterwarnings("ignore", message="no QP solver found|No loggers specified")

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from avalanche_hsf.experiments import BENCHMARKS
from avalanche_hsf.models import TaskConditional
from avalanche_hsf.training import PRESETS

N_TASKS = 10
KINDS = {
    "isolated": PRESETS["isolated"].hypernetwork,
    "compact": PRESETS["compact"].hypernetwork,
    "core-4000": {
        "hypernetwork": "delta",
        "hypernetwork_options": {"adapter": "core", "size": 4000, "bits": 12},
    },
    "mlp": {"hypernetwork": "mlp", "hypernetwork_options": {}},
}


class Learner:
    """One network in training."""

    def __init__(self, network: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
        self.forward = forward
        parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def step(self, x: Tensor, y: Tensor) -> float:
        """Seconds of a training step."""
        start = time.perf_counter()
        self.optimizer.zero_grad()
        cross_entropy(self.forward(x), y).backward()
        self.optimizer.step()
        return time.perf_counter() - start

    def kept(self, x: Tensor, y: Tensor) -> int:
        """Bytes kept between forward and backward."""
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            cross_entropy(self.forward(x), y)
        return sum(kept.values())


def main(steps: int = 30, threads: int = 1) -> dict[str, float]:
    """Prints the table; returns the ratios of the time of a step in the tenth task, by kind."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    main_network = BENCHMARKS["images-10"].main
    assert main_network is not None
    plain = main_network.make()
    x, y = torch.randn(50, 3, 32, 32), torch.arange(50) % 10
    models = {
        kind: TaskConditional(main_network.make(), **options, seed=0)
        for kind, options in KINDS.items()
    }
    ratios: dict[str, float] = {}
    for task in range(N_TASKS):
        for model in models.values():
            model.train().hypernetwork.begin([task])
            model(x, task).sum()  # a pass in training closes the tasks before
        if task not in (0, N_TASKS - 1):
            continue
        learners = {"plain": Learner(plain, plain)}
        for kind, model in models.items():
            learners[kind] = Learner(model, lambda x, model=model, task=task: model(x, task))
        times: dict[str, list[float]] = {kind: [] for kind in learners}
        for _ in range(steps + 3):
            for kind, learner in learners.items():
                times[kind].append(learner.step(x, y))
        print(f"training step in task {task}, batch of {len(x)}:")
        for kind, learner in learners.items():
            pairs = sorted(a / b for a, b in zip(times[kind][3:], times["plain"][3:], strict=True))
            ratios[kind] = statistics.median(pairs)
            quarter = len(pairs) // 4
            print(
                f"  {kind:10s} {statistics.median(times[kind][3:]) * 1e3:6.1f} ms, "
                f"{ratios[kind]:.2f} times the plain network "
                f"(middle half {pairs[quarter]:.2f} to {pairs[-quarter - 1]:.2f}), "
                f"{learner.kept(x, y) / 2**20:.1f} MiB kept for the backward pass"
            )
    plain.eval()
    t = torch.arange(50) % N_TASKS
    for kind, model in models.items():
        model.eval()
        pairs = []
        with torch.no_grad():
            for _ in range(steps):
                start = time.perf_counter()
                plain(x)
                middle = time.perf_counter()
                model(x, t)
                pairs.append((time.perf_counter() - middle) / (middle - start))
        ratios[f"{kind}, mixed"] = statistics.median(pairs)
        print(f"evaluating ten tasks in one batch, {kind}: {statistics.median(pairs):.2f} times")
    return ratios


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    main(options.steps, options.threads)
