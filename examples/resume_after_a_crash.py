"""A run that is killed in the middle, resumed, and the same to the last bit.

    python examples/resume_after_a_crash.py

A process of its own trains and is killed in the second of three tasks. The same code then goes on
from the newest checkpoint. After 33 s of CPU time:

    begins with task 0
    the process ended with code -9, its last checkpoint is 00000016.checkpoint
    begins with task 1
    begins with task 0
    0 of 130641 weights differ
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.checkpoints import CheckpointPlugin, resume
from avalanche_hsf.training import HSFStrategy


def train(folder: str) -> torch.Tensor:
    """All weights in the end, from where the folder's newest checkpoint stands."""
    torch.manual_seed(0)
    options = {"seed": 0, "train_epochs": 10, "evaluator": None}
    strategy = HSFStrategy.from_preset(input_dim=3, plugins=[CheckpointPlugin(folder)], **options)
    start = resume(strategy, folder)
    print(f"begins with task {start}", flush=True)
    for experience in SyntheticManifolds(n_samples=50).train_stream[start:3]:
        strategy.train(experience)
    return torch.nn.utils.parameters_to_vector(strategy.model.hypernetwork.buffers())


def main() -> dict[str, float]:
    """Returns how many weights differ between the two runs."""
    with TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, __file__, folder])
        while process.poll() is None and not list(Path(folder).glob("*16.checkpoint")):
            time.sleep(0.01)
        process.kill()
        newest = max(path.name for path in Path(folder).glob("*.checkpoint"))
        print(f"the process ended with code {process.wait()}, its last checkpoint is {newest}")
        resumed, whole = train(folder), train(f"{folder}/another")
    differ = int((resumed != whole).sum())
    print(f"{differ} of {len(whole)} weights differ")
    return {"differ": differ}


if __name__ == "__main__":
    train(sys.argv[1]) if len(sys.argv) > 1 else main()
