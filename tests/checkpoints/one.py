"""Runs or resumes a pipeline in this process: `python one.py NAME FOLDER ITERATION`, 0 for none."""

import os
import signal
import sys
from pathlib import Path

import torch
from pipelines import PIPELINES, Stop, go_through

from avalanche_hsf.checkpoints import CheckpointPlugin, resume


class Kill(Stop):
    def before_training_iteration(self, strategy, **kwargs):
        Kill.n_iterations += 1
        if Kill.n_iterations == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def main(name, folder, at):
    torch.set_num_threads(1)
    folder = Path(folder)
    strategy, stream = PIPELINES[name]([CheckpointPlugin(folder / "checkpoints"), Kill(int(at))])
    result = go_through(strategy, stream, resume(strategy, folder / "checkpoints"))
    torch.save(result, folder / "result.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
