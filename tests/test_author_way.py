"""The rival of benchmarks/speed.py computes what we compute."""

import math
import sys
from pathlib import Path

import torch
from avalanche.core import SupervisedPlugin

from avalanche_hsf.benchmarks import SyntheticManifolds
from avalanche_hsf.training import HSFStrategy

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from author_way import AuthorWay


def test_losses_are_equal_step_by_step():
    losses = []

    class Beside(SupervisedPlugin):
        def before_training_exp(self, strategy, **kwargs):
            self.rival = AuthorWay(strategy.model)
            self.x = torch.stack([item[0] for item in strategy.experience.dataset])

        def after_training_epoch(self, strategy, **kwargs):
            rival = self.rival.step(self.x, 0, strategy.clock.train_exp_epochs)
            losses.append((float(strategy.loss.detach()), rival))

    strategy = HSFStrategy.from_preset(
        "paper",
        input_dim=3,
        train_epochs=15,
        train_mb_size=60,
        plugins=[Beside()],
        evaluator=None,
    )
    strategy.train(SyntheticManifolds(60).train_stream[0], shuffle=False)
    assert len(losses) == 15
    assert all(math.isclose(ours, rival, rel_tol=1e-6) for ours, rival in losses)
