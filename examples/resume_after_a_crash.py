"""A run that is killed in the middle, resumed, and the same to the last bit.

    python examples/resume_after_a_crash.py

A process of its own trains and kills itself in the second of three tasks, after 8 iterations. The
same code then goes on from the newest checkpoint.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any

import torch
from avalanche.core import SupervisedPlugin

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.checkpoints import CheckpointPlugin, resume
from avalanche_hsf.training import HSFStrategy


class Crash(SupervisedPlugin):
    def before_backward(self, strategy: Any, **kwargs: Any) -> None:
        if strategy.clock.train_iterations == 8:
            os.kill(os.getpid(), signal.SIGKILL)


def train(folder: str, *plugins: SupervisedPlugin) -> torch.Tensor:
    """All weights in the end, from where the folder's newest checkpoint stands."""
    torch.manual_seed(0)
    plugins = CheckpointPlugin(folder), *plugins
    options = {"seed": 0, "train_epochs": 5, "plugins": plugins, "evaluator": None}
    strategy = HSFStrategy.from_preset(input_dim=3, **options)
    start = resume(strategy, folder)
    print(f"begins after {start} tasks, {strategy.clock.train_iterations} iterations", flush=True)
    for experience in SyntheticManifolds(n_samples=50).train_stream[start:3]:
        strategy.train(experience)
    return torch.nn.utils.parameters_to_vector(strategy.model.hypernetwork.buffers())


def main() -> dict[str, float]:
    """Returns how many weights differ between the two runs."""
    with TemporaryDirectory() as folder:
        run = subprocess.run([sys.executable, __file__, folder], check=False)
        print(f"the process ended with code {run.returncode}")
        resumed, whole = train(folder), train(f"{folder}/another")
    differ = int((resumed != whole).sum())
    print(f"{differ} of {len(whole)} weights differ")
    return {"differ": differ}


if __name__ == "__main__":
    train(sys.argv[1], Crash()) if len(sys.argv) > 1 else main()
